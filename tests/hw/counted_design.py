# SPDX-License-Identifier: Apache-2.0
"""A design that takes seconds to synthesise, with blocks whose cells can be counted by hand."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib.wiring import Component, In, Out

from tritone_hw.loadable_memory import LoadableMemory

__all__ = ["Design"]


class Inner(Component):
    """A machine of a counter in its registers, a memory in its engine, and a pipeline register.

    Parameters
    ----------
    product : the pipeline register takes a product of what the memory gives, not that itself.
    """

    def __init__(self, product: bool) -> None:
        self._product = product
        super().__init__({"step": In(7), "at": In(9), "out": Out(43 if product else 32)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.registers = registers = Module()
        count = Signal(24)
        registers.d.sync += count.eq(count + self.step)
        m.submodules.engine = engine = Module()
        engine.submodules.weight_memory = memory = LoadableMemory(64, 512)
        word = memory.word[:12] * self.step if self._product else memory.word[:8]
        held = Signal(len(word))
        engine.d.sync += held.eq(word)
        m.d.comb += [
            memory.address.eq(self.at),
            memory.write.valid.eq(1),
            memory.write.payload.data.eq(count),
            self.out.eq(Cat(held, count)),
        ]
        return m


class Design(Component):
    """Inner with a flip-flop at each of its inputs."""

    def __init__(self, product: bool = False) -> None:
        self._inner = Inner(product)
        super().__init__(self._inner.signature)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.accelerator = inner = self._inner
        m.d.sync += [inner.step.eq(self.step), inner.at.eq(self.at)]
        m.d.comb += self.out.eq(inner.out)
        return m
