# SPDX-License-Identifier: Apache-2.0
"""The circuits that the array consists of, in terms of any device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from amaranth.hdl import Cat, Const, Module, Signal, Value

__all__ = ["Operand", "PortableForm", "Sum"]


@dataclass(frozen=True)
class Operand:
    """An unsigned number to add, or 0 where the bit ``mask`` is not ``on``.

    Parameters
    ----------
    value : the number.
    most : what is added is no more than that.
    mask, on : bit that lets it through, and at which value.
    inverted : all bits of ``value`` are inverted first; of a sum's operands at most one.
    shift : places that it is shifted up by, last.
    """

    value: Value
    most: int
    mask: Value | None = None
    on: int = 1
    inverted: bool = False
    shift: int = 0

    @property
    def bits(self) -> int:
        """Bits of what is added."""
        return self.shift + len(self.value)

    def present(self, index: int) -> bool:
        """Return whether there is anything at that place."""
        return self.shift <= index < self.bits

    def bit(self, index: int) -> Value:
        """Return what ``value`` has for that place, 0 if there is nothing."""
        return self.value[index - self.shift] if self.present(index) else Const(0, 1)

    def added(self, index: int, bit: int, mask: int) -> int:
        """Return what is added at that place, given ``bit(index)`` and the mask, 0 or 1."""
        through = self.mask is None or mask == self.on
        return int(self.present(index) and through and bit != self.inverted)

    @property
    def effective(self) -> Value:
        """The number that is added."""
        value = ~self.value if self.inverted else self.value
        if self.mask is not None:
            mask = self.mask if self.on else ~self.mask
            value &= mask.replicate(len(self.value))
        return Cat(Const(0, self.shift), value[: len(self.value)])


@dataclass(frozen=True)
class Sum:
    """The sum of operands modulo ``2**bits``; none is wider than that."""

    operands: tuple[Operand, ...]
    bits: int

    @property
    def closed(self) -> bool:
        """Whether the sum always fits: then no carry leaves its highest bit."""
        return sum(each.most for each in self.operands) < 1 << self.bits


class PortableForm:
    """Shifter, adders and register of the array as plain expressions.

    Forms for a family have the same methods and compute the same; they only take other cells.

    Attributes
    ----------
    OPERANDS : how many numbers without masks an adder takes.
    """

    OPERANDS = 2

    def shift(self, m: Module, activation: Value, shift: Value, sign: Value) -> Value:
        """Return ``activation << shift``, shift 0..3, all bits inverted if ``sign``."""
        bits = len(activation) + 3
        # The complement shares a LUT with the shifter's second multiplexer: it costs nothing.
        return ((activation << shift) ^ sign.replicate(bits))[:bits]

    def add(self, m: Module, sums: Sequence[Sum]) -> list[Value]:
        """Return the sums, made in a carry chain for all of them.

        Each has two operands, or up to ``OPERANDS`` of which only the last one has a mask.
        """
        # The bit on top of a sum takes the carry that would run into the next one.
        widths = [each.bits if each.closed else each.bits + 1 for each in sums]
        total: Value = Const(0)
        for index in range(max(len(each.operands) for each in sums)):
            word = []
            for each, width in zip(sums, widths, strict=True):
                value: Value = Const(0)
                if index < len(each.operands):
                    value = each.operands[index].effective
                word += [value, Const(0, width - len(value))]
            total = total + Cat(*word)
        packed = Signal(sum(widths), name="packed")
        m.d.comb += packed.eq(total)
        starts = [sum(widths[:index]) for index in range(len(widths))]
        return [packed[start : start + each.bits] for start, each in zip(starts, sums, strict=True)]

    def copy(self, m: Module, value: Value, name: str) -> Value:
        """Return a register of ``value``, one that stays beside equal ones where tools allow."""
        register = Signal(len(value), name=name, reset_less=True)
        m.d.sync += register.eq(value)
        return register
