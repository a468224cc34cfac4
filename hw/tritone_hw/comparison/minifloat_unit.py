# SPDX-License-Identifier: Apache-2.0
"""Small floating-point numbers as bit planes of their magnitudes."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib.data import StructLayout

from tritone.spec.fixed import NIBBLE_BITS
from tritone_hw.adder_tree import accumulate
from tritone_hw.one_rail_unit import OneRailUnit
from tritone_hw.plane_unit import JOINTS, sum_planes
from tritone_hw.platform.portable import Operand
from tritone_hw.platform.target import form_for

__all__ = ["MinifloatUnit"]

_PLANES = 4
_MOST = (1 << NIBBLE_BITS) - 1


class MinifloatUnit(OneRailUnit):
    """Weights in FP4 E2M1, in halves: code {sign, exponent[1:0], mantissa}.

    The bits of magnitudes 0, 1, 2, 3, 4, 6, 8, 12 are the planes, decoded once for all pixels.
    Where a weight is negative its activation is inverted: 15 * magnitude too much.
    """

    CONTROL = StructLayout({"planes": _PLANES, "sign": 1})

    @staticmethod
    def decode(weight: Value) -> dict[str, Value]:
        """Return the bits of the magnitude, and the sign."""
        mantissa, exponent, sign = weight[0], weight[1:3], weight[3]
        # The bit that a normal number's magnitude begins with, and the mantissa below it.
        leading = Cat(0, *(exponent == each for each in (1, 2, 3)))
        trailing = Cat(each & mantissa for each in (exponent < 2, exponent == 2, exponent == 3))
        return {"planes": leading | trailing, "sign": sign}

    @property
    def latency(self) -> int:
        """Cycles from a step to the accumulator that holds it.

        Inverted activations, levels, joints, accumulator.
        """
        return 1 + self._levels + JOINTS + 1

    def elaborate(self, platform: object) -> Module:
        m = Module()
        words = []
        rows = zip(self.activations, self.controls, strict=True)
        for number, (activation, control) in enumerate(rows):
            term = Signal(NIBBLE_BITS, name=f"term{number}", reset_less=True)
            planes = Signal(_PLANES, name=f"planes{number}", reset_less=True)
            m.d.sync += [
                term.eq(activation ^ control.sign.replicate(NIBBLE_BITS)),
                planes.eq(control.planes),
            ]
            words.append(tuple(Operand(term, _MOST, plane) for plane in planes))
        form = form_for(platform)
        words = sum_planes(m, form, words, self._levels, sign_plane=False)
        accumulate(m, form, words, (self.even,), self.valid, self.clear, self.latency)
        return m
