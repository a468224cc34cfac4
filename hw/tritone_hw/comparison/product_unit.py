# SPDX-License-Identifier: Apache-2.0
"""Integers, multiplied and added by what synthesis makes of it."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib.data import StructLayout

from tritone.spec.fixed import NIBBLE_BITS
from tritone_hw.one_rail_unit import OneRailUnit

__all__ = ["ProductUnit"]


class ProductUnit(OneRailUnit):
    """Weights in two's complement: the operators ``*`` and ``+``, a register behind each level.

    There are no constants in its sums.
    """

    CONTROL = StructLayout({"weight": signed(NIBBLE_BITS)})

    @staticmethod
    def decode(weight: Value) -> dict[str, Value]:
        """Return the weight: it is what it says."""
        return {"weight": weight}

    @property
    def latency(self) -> int:
        """Cycles from a step to the accumulator that holds it: products, levels, accumulator."""
        return 1 + self._levels + 1

    def elaborate(self, platform: object) -> Module:
        m = Module()
        sums: list[Value] = [
            activation * control.weight
            for activation, control in zip(self.activations, self.controls, strict=True)
        ]
        for level in range(self._levels + 1):
            registers = []
            for number, value in enumerate(sums):
                register = Signal(value.shape(), name=f"sum{level}_{number}", reset_less=True)
                m.d.sync += register.eq(value)
                registers.append(register)
            if level < self._levels:
                pairs = zip(registers[::2], registers[1::2], strict=True)
                sums = [left + right for left, right in pairs]

        valid = Signal(self.latency - 1)
        clear = Signal(self.latency - 1, reset_less=True)
        m.d.sync += [valid.eq(Cat(self.valid, valid)), clear.eq(Cat(self.clear, clear))]
        with m.If(valid[-1]):
            m.d.sync += self.even.eq(Mux(clear[-1], 0, self.even) + registers[0])
        return m
