# SPDX-License-Identifier: Apache-2.0
"""The accelerator behind four pins, so that any package holds it for place and route."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib.wiring import Component, In, Out

from tritone.spec.machine import MachineConfig
from tritone_hw.accelerator import Accelerator

__all__ = ["SerialHost"]


class SerialHost(Component):
    """The accelerator with all its ports on two shift registers.

    Both AXI ports together have more bits than a package has pins. Every input of the accelerator
    is a bit of one register, which takes a bit at ``serial_in`` in a cycle with ``shift``; every
    output is captured by the other one. So all paths begin and end at flip-flops, nothing is
    constant and nothing unread: what a tool then counts is the whole machine.

    Timing: a bit enters or leaves in each cycle with ``shift``; the accelerator runs all the time
    and sees its inputs move through the register.

    Parameters
    ----------
    machine : shape of the machine.

    Attributes
    ----------
    inputs, outputs : names and widths of the accelerator's ports, in the order of their bits; the
        first bit shifted in ends up as the highest one.

    Members
    -------
    shift : In(1)
        Move both registers by a bit.
    capture : In(1)
        Take the outputs over instead, into their register.
    serial_in : In(1)
        The lowest bit of the inputs' register, next.
    serial_out : Out(1)
        The highest bit of the outputs' register.
    """

    def __init__(self, machine: MachineConfig) -> None:
        self._accelerator = Accelerator(machine)
        ports = list(self._accelerator.signature.flatten(self._accelerator))
        self._driven = [Value.cast(value) for _, member, value in ports if member.flow == In]
        self._read = [Value.cast(value) for _, member, value in ports if member.flow == Out]
        self.inputs = tuple(
            ("_".join(map(str, (path[0], path[-1]))), len(Value.cast(value)))
            for path, member, value in ports
            if member.flow == In
        )
        self.outputs = tuple(
            ("_".join(map(str, (path[0], path[-1]))), len(Value.cast(value)))
            for path, member, value in ports
            if member.flow == Out
        )
        super().__init__(
            {"shift": In(1), "capture": In(1), "serial_in": In(1), "serial_out": Out(1)}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.accelerator = self._accelerator
        inputs = Signal(sum(map(len, self._driven)))
        outputs = Signal(sum(map(len, self._read)))
        m.d.comb += [Cat(self._driven).eq(inputs), self.serial_out.eq(outputs[-1])]
        with m.If(self.shift):
            m.d.sync += inputs.eq(Cat(self.serial_in, inputs))
        with m.If(self.capture):
            m.d.sync += outputs.eq(Cat(self._read))
        with m.Elif(self.shift):
            m.d.sync += outputs.eq(outputs << 1)
        return m
