# SPDX-License-Identifier: Apache-2.0
"""Powers of two with seven magnitudes, in one pass."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.data import StructLayout, View

from tritone.spec.array_code import POWER_CODE
from tritone.spec.fixed import NIBBLE_BITS, POWER_TERM
from tritone_hw.adder_tree import accumulate, add_tree, flippable_words
from tritone_hw.layout import record_layout
from tritone_hw.one_rail_unit import OneRailUnit
from tritone_hw.platform.portable import Rail
from tritone_hw.platform.target import form_for

__all__ = ["PowerUnit"]

_CODE = record_layout(POWER_CODE)
# Shifts 0 to 3 by the form of the family, then by 4 or not.
_NEAR_BITS = NIBBLE_BITS + 3
_FAR = 4


class PowerUnit(OneRailUnit):
    """Weights as POWER_CODE: 2**exponent, and 0 for an exponent of 7.

    Terms of negative weights other than 0 are inverted in 10 bits: 1023 too much.
    """

    CONTROL = StructLayout({"shift": 2, "far": 1, "zero": 1, "sign": 1})

    @staticmethod
    def decode(weight: Value) -> dict[str, Value]:
        """Return the two parts of the exponent, whether the power is 0, and the sign."""
        code = View(_CODE, weight)
        return {
            "shift": code.exponent[:2],
            "far": code.exponent[2],
            "zero": code.exponent.all(),
            "sign": code.sign,
        }

    @property
    def latency(self) -> int:
        """Cycles from a step to the accumulator that holds it: two shifts, levels, accumulator."""
        return 2 + self._levels + 1

    def elaborate(self, platform: object) -> Module:
        m = Module()
        form = form_for(platform)
        words = []
        for row, flippable in enumerate(flippable_words(form, self._rows)):
            control = self.controls[row]
            near = Signal(_NEAR_BITS, name=f"near{row}", reset_less=True)
            held = Signal.like(control, name=f"held{row}", reset_less=True)
            sign, flip = (None, held.sign) if flippable else (control.sign, None)
            m.d.sync += [
                near.eq(form.shift(m, self.activations[row], control.shift, sign)),
                held.eq(control),
            ]
            # What a 0 has become fills up.
            fill = (Const(0) if flippable else held.sign).replicate(_FAR)
            term = Mux(held.far, Cat(fill, near), Cat(near, fill))
            rail = Rail(POWER_TERM.bits, held.zero)
            words.append(form.hold(m, term, (rail,), f"term{row}", flip))
        words = add_tree(m, form, words, self._levels)
        accumulate(m, form, words, (self.even,), self.valid, self.clear, self.latency)
        return m
