# SPDX-License-Identifier: Apache-2.0
"""The circuits that the array consists of, in terms of any device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from amaranth.hdl import Cat, Const, Module, Signal, Value

__all__ = ["Operand", "PortableForm", "Rail", "Sum"]


@dataclass(frozen=True)
class Operand:
    """An unsigned number to add, or 0 where the bit ``mask`` is not ``on``.

    Parameters
    ----------
    value : the number.
    most : what is added is no more than that.
    mask, on : bit that lets it through, and at which value.
    flip : bit at which all bits of ``value`` are inverted; there is no mask then.
    inverted : all bits of ``value`` are inverted first; of a sum's operands at most one.
    shift : places that it is shifted up by, last.
    """

    value: Value
    most: int
    mask: Value | None = None
    on: int = 1
    flip: Value | None = None
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

    @property
    def control(self) -> Value | None:
        """The bit that decides on what is added: mask or flip."""
        return self.flip if self.mask is None else self.mask

    def added(self, index: int, bit: int, control: int) -> int:
        """Return what is added at that place, given ``bit(index)`` and the control, 0 or 1."""
        through = self.mask is None or control == self.on
        flipped = self.inverted ^ (self.flip is not None and control)
        return int(self.present(index) and through and bit != flipped)

    @property
    def effective(self) -> Value:
        """The number that is added."""
        value = ~self.value if self.inverted else self.value
        if self.flip is not None:
            value ^= self.flip.replicate(len(self.value))
        if self.mask is not None:
            mask = self.mask if self.on else ~self.mask
            value &= mask.replicate(len(self.value))
        return Cat(Const(0, self.shift), value[: len(self.value)])


@dataclass(frozen=True)
class Rail:
    """Low bits of a term, as many as the rail has, or nothing where the bit ``off`` is 1."""

    bits: int
    off: Value


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

    def shift(self, m: Module, activation: Value, shift: Value, sign: Value | None) -> Value:
        """Return ``activation << shift``, shift 0..3, all bits inverted where ``sign`` is 1."""
        bits = len(activation) + 3
        if sign is None:
            return (activation << shift)[:bits]
        # The complement shares a LUT with the shifter's second multiplexer: it costs nothing.
        return ((activation << shift) ^ sign.replicate(bits))[:bits]

    def flips(self, operands: int) -> int:
        """Return how many of the last operands of a sum of ``operands`` may have a ``flip``.

        Those of the first adders, whose masks are in ``hold``.
        """
        return 0

    def hold(
        self, m: Module, term: Value, rails: Sequence[Rail], name: str, flip: Value | None
    ) -> tuple[Operand, ...]:
        """Return what a term adds to each rail, from the next cycle on.

        Parameters
        ----------
        flip : bit at which it adds the complement in the rail's bits, unless it is off; only where
            ``flips`` says so.
        """
        assert flip is None
        # Masks travel beside the term and are applied in the first adders, which absorb them.
        value = Signal(len(term), name=name, reset_less=True)
        off = Signal(len(rails), name=f"{name}_off", reset_less=True)
        m.d.sync += [value.eq(term), off.eq(Cat(rail.off for rail in rails))]
        return tuple(
            Operand(value[: rail.bits], (1 << rail.bits) - 1, mask, on=0)
            for rail, mask in zip(rails, off, strict=True)
        )

    def add(self, m: Module, sums: Sequence[Sum]) -> list[Value]:
        """Return the sums, made in a carry chain for all of them.

        Each has two operands, or up to ``OPERANDS`` of which only the last one has mask or flip.
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
