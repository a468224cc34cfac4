# SPDX-License-Identifier: Apache-2.0
"""The dot product of one output: a shifter a row, one adder tree for both rails, accumulators."""

from __future__ import annotations

from amaranth import Module, Value
from amaranth.lib import wiring
from amaranth.lib.data import ArrayLayout, StructLayout, View
from amaranth.lib.wiring import In, Out

from tritone.spec.array_code import TERM_CODE
from tritone.spec.fixed import NIBBLE_BITS
from tritone_hw.adder_tree import accumulate, add_tree, flippable_words
from tritone_hw.layout import record_layout
from tritone_hw.platform.portable import Rail
from tritone_hw.platform.target import form_for

__all__ = ["CONTROL", "DotProductUnit"]

# A term, decoded: what to shift by, whether the even rail and whether the odd one leaves it out,
# whether it is negative.
CONTROL = StructLayout({"shift": 2, "not_even": 1, "not_odd": 1, "sign": 1})

_TERM = record_layout(TERM_CODE)
_SHIFT_MAX = next(field.high for field in TERM_CODE.fields if field.name == "shift")
# Bits of a term; a shift on the odd rail is one less at most.
_EVEN_TERM_BITS = NIBBLE_BITS + _SHIFT_MAX
_ODD_TERM_BITS = _EVEN_TERM_BITS - 1


class DotProductUnit(wiring.Component):
    """Sums of terms over rows and steps, a sum for each rail, in one's complement.

    A row adds ``activation << shift`` to its rail, or if negative the complement of that in the
    7 bits of the even or the 6 bits of the odd rail, or nothing. Accumulators are unsigned and
    wrap.

    Timing: one step a cycle, no stalls; a step is in the accumulators ``latency`` cycles after it
    is presented. The family's form of the array (``tritone_hw.platform``) makes no difference to
    that.

    Parameters
    ----------
    rows : R, a power of two of at least 2.
    even_bits, odd_bits : widths of the accumulators, at least those of a step's sum.

    Members
    -------
    valid : In(1)
        There is a step; otherwise the accumulators keep their values.
    clear : In(1)
        The step starts new sums.
    activations : In(ArrayLayout(4, rows))
        An activation nibble for each row.
    controls : In(ArrayLayout(CONTROL, rows))
        What each row does with it. An odd row shifts by 2 at most.
    even, odd : Out(even_bits), Out(odd_bits)
        Accumulators.
    """

    CONTROL = CONTROL

    @staticmethod
    def decode(weight: Value) -> dict[str, Value]:
        """Return the fields of the control of a term code; all pixels share them."""
        term = View(_TERM, weight)
        return {
            "shift": term.shift,
            "sign": term.sign,
            "not_even": term.odd,
            # Odd with the largest shift adds nothing.
            "not_odd": ~term.odd | term.shift.all(),
        }

    def __init__(self, rows: int, even_bits: int, odd_bits: int) -> None:
        if not isinstance(rows, int) or isinstance(rows, bool):
            raise TypeError(f"Rows must be an integer, not {rows!r}")
        if rows < 2 or rows & (rows - 1):
            raise ValueError(f"Rows must be a power of two of at least 2, not {rows}")
        self._levels = rows.bit_length() - 1
        for rail, bits, term_bits in (
            ("Even", even_bits, _EVEN_TERM_BITS),
            ("Odd", odd_bits, _ODD_TERM_BITS),
        ):
            if bits < term_bits + self._levels:
                raise ValueError(
                    f"{rail} accumulator must have at least {term_bits + self._levels} bits "
                    f"for {rows} rows, not {bits}"
                )
        self._rows = rows
        super().__init__(
            {
                "valid": In(1),
                "clear": In(1),
                "activations": In(ArrayLayout(NIBBLE_BITS, rows)),
                "controls": In(ArrayLayout(CONTROL, rows)),
                "even": Out(even_bits),
                "odd": Out(odd_bits),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles from a step to the accumulators that hold it: terms, tree levels, accumulators."""
        return 1 + self._levels + 1

    def elaborate(self, platform: object) -> Module:
        m = Module()

        form = form_for(platform)

        words = []
        for row, flippable in enumerate(flippable_words(form, self._rows)):
            control = self.controls[row]
            sign, flip = (None, control.sign) if flippable else (control.sign, None)
            term = form.shift(m, self.activations[row], control.shift, sign)
            rails = (
                Rail(_EVEN_TERM_BITS, control.not_even),
                Rail(_ODD_TERM_BITS, control.not_odd),
            )
            words.append(form.hold(m, term, rails, f"term{row}", flip))

        words = add_tree(m, form, words, self._levels)
        accumulators = (self.even, self.odd)
        accumulate(m, form, words, accumulators, self.valid, self.clear, self.latency)
        return m
