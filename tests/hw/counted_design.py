# SPDX-License-Identifier: Apache-2.0
"""A design that takes seconds to synthesise, with blocks whose cells can be counted by hand."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib.wiring import Component, In, Out

from tritone_hw.loadable_memory import LoadableMemory

__all__ = ["Design"]


class Inner(Component):
    """A machine of a counter in its registers, a memory in its engine, and a pipeline register."""

    def __init__(self) -> None:
        super().__init__({"step": In(7), "at": In(9), "out": Out(32)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.registers = registers = Module()
        count = Signal(24)
        registers.d.sync += count.eq(count + self.step)
        m.submodules.engine = engine = Module()
        engine.submodules.weight_memory = memory = LoadableMemory(64, 512)
        held = Signal(8)
        engine.d.sync += held.eq(memory.word[:8])
        m.d.comb += [
            memory.address.eq(self.at),
            memory.write.valid.eq(1),
            memory.write.payload.data.eq(count),
            self.out.eq(Cat(held, count)),
        ]
        return m


class Design(Component):
    """Inner with a flip-flop at each of its inputs."""

    def __init__(self) -> None:
        super().__init__({"step": In(7), "at": In(9), "out": Out(32)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.accelerator = inner = Inner()
        m.d.sync += [inner.step.eq(self.step), inner.at.eq(self.at)]
        m.d.comb += self.out.eq(inner.out)
        return m
