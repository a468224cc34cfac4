# SPDX-License-Identifier: Apache-2.0
"""The dot product of one output: a shifter a row, one adder tree for both rails, accumulators."""

from __future__ import annotations

from amaranth import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.data import ArrayLayout, StructLayout
from amaranth.lib.wiring import In, Out

from tritone.spec.codebook import TERM_CODE
from tritone.spec.fixed import NIBBLE_BITS

__all__ = ["CONTROL", "DotProductUnit"]

# A term, decoded: what to shift by, which rails take it, whether it is negative.
CONTROL = StructLayout({"shift": 2, "even": 1, "odd": 1, "sign": 1})

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
    is presented.

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

        # Masks travel beside the terms and are applied in the first adders, which absorb them.
        even_masks = Signal(self._rows, reset_less=True)
        odd_masks = Signal(self._rows, reset_less=True)
        m.d.sync += [
            even_masks.eq(Cat(control.even for control in self.controls)),
            odd_masks.eq(Cat(control.odd for control in self.controls)),
        ]
        words = []
        for row, control in enumerate(self.controls):
            term = Signal(_EVEN_TERM_BITS, name=f"term{row}", reset_less=True)
            # The complement shares a LUT4 with the shifter's second multiplexer: it costs nothing.
            m.d.sync += term.eq(
                (self.activations[row] << control.shift) ^ control.sign.replicate(_EVEN_TERM_BITS)
            )
            even = term & even_masks[row].replicate(_EVEN_TERM_BITS)
            odd = term[:_ODD_TERM_BITS] & odd_masks[row].replicate(_ODD_TERM_BITS)
            words.append((even, odd))

        # Both rails in one adder: the bit between them takes the carry of the even one.
        for level in range(1, self._levels + 1):
            even_bits = _EVEN_TERM_BITS + level
            sums = []
            for index, (left, right) in enumerate(zip(words[::2], words[1::2], strict=True)):
                total = Signal(
                    even_bits + _ODD_TERM_BITS + level, name=f"sum{level}_{index}", reset_less=True
                )
                m.d.sync += total.eq(Cat(left[0], 0, left[1]) + Cat(right[0], 0, right[1]))
                sums.append((total[:even_bits], total[even_bits:]))
            words = sums
        even, odd = words[0]

        valid = Signal(self.latency - 1)
        clear = Signal(self.latency - 1, reset_less=True)
        m.d.sync += [
            valid.eq(Cat(self.valid, valid)),
            clear.eq(Cat(self.clear, clear)),
        ]
        with m.If(valid[-1]):
            keep = ~clear[-1]
            m.d.sync += [
                self.even.eq((self.even & keep.replicate(len(self.even))) + even),
                self.odd.eq((self.odd & keep.replicate(len(self.odd))) + odd),
            ]
        return m
