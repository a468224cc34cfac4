# SPDX-License-Identifier: Apache-2.0
"""Sums of words of several fields, such as the rails of a dot product: tree and accumulators."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from amaranth.hdl import Cat, Module, Signal, Value

from tritone_hw.platform.portable import Operand, PortableForm, Sum

__all__ = ["Word", "accumulate", "add_shifted", "add_tree", "flippable_words"]

# A number for each field; the fields of words that are added lie in one carry chain.
Word = tuple[Operand, ...]


def flippable_words(form: PortableForm, count: int) -> list[bool]:
    """Return which of ``count`` words without masks a tree takes with a ``flip``.

    One that the first level leaves alone takes the place that it has in the next one.
    """
    if count < form.OPERANDS:
        return [False] * count
    sizes = [min(form.OPERANDS, count - first) for first in range(0, count, form.OPERANDS)]
    found = [number >= size - form.flips(size) for size in sizes for number in range(size)]
    if sizes[-1] == 1:
        found[-1] = flippable_words(form, len(sizes))[-1]
    return found


def _wait(m: Module, form: PortableForm, word: Word, name: str) -> Word:
    """Return a register of a word without masks."""
    return tuple(
        replace(
            each,
            value=form.copy(m, each.value, f"{name}_{number}"),
            flip=None if each.flip is None else form.copy(m, each.flip, f"{name}_flip{number}"),
        )
        for number, each in enumerate(word)
    )


def _add_words(m: Module, form: PortableForm, words: Sequence[Word], name: str) -> Word:
    """Return a register of the sum of the words, field by field; ``name`` is its own."""
    if len(words) == 1:
        return _wait(m, form, words[0], name)
    fields = list(zip(*words, strict=True))
    mosts = [sum(each.most for each in field) for field in fields]
    sums = [Sum(field, most.bit_length()) for field, most in zip(fields, mosts, strict=True)]
    values = form.add(m, sums)
    registers = [
        Signal(each.bits, name=f"{name}_{number}", reset_less=True)
        for number, each in enumerate(sums)
    ]
    m.d.sync += [register.eq(each) for register, each in zip(registers, values, strict=True)]
    return tuple(Operand(each, most) for each, most in zip(registers, mosts, strict=True))


def add_tree(
    m: Module, form: PortableForm, words: Sequence[Word], levels: int, single: bool = False
) -> list[Word]:
    """Return what ``levels`` levels of adders, a register each, leave of ``2**levels`` words.

    That is one word, or two where adders take three, unless it must be a ``single`` one. Words may
    have masks: the first level takes two at once then, which leaves room for these; or flips as
    ``flippable_words`` says. What a family adds in fewer levels waits, so that all families have
    the same latency.
    """
    words = list(words)
    masked = any(each.mask is not None for word in words for each in word)
    for level in range(levels):
        at_once = 1
        if len(words) >= form.OPERANDS:
            at_once = 2 if masked and level == 0 else form.OPERANDS
        elif single:
            at_once = 2
        groups = [words[index : index + at_once] for index in range(0, len(words), at_once)]
        words = [_add_words(m, form, group, f"sum{level}_{n}") for n, group in enumerate(groups)]
    return words


def add_shifted(
    m: Module, form: PortableForm, operands: Sequence[Operand], levels: int, name: str
) -> list[Operand]:
    """Return what ``levels`` levels of adders, a register each, leave of operands without masks.

    Parameters
    ----------
    operands : the lowest shift first; only a last one of all may be inverted.
    """
    left = list(operands)
    for level in range(levels):
        at_once = form.OPERANDS if len(left) >= form.OPERANDS else 1
        groups = [left[index : index + at_once] for index in range(0, len(left), at_once)]
        # Low bits that only the first number has are no part of a sum.
        spared = [group[1].shift - group[0].shift if len(group) > 1 else 0 for group in groups]
        sums = [_raised(group, spare) for group, spare in zip(groups, spared, strict=True)]
        several = [each for each in sums if len(each.operands) > 1]
        totals = iter(form.add(m, several) if several else ())
        left = []
        for number, (group, spare) in enumerate(zip(groups, spared, strict=True)):
            lowest = group[0]
            value = next(totals) if len(group) > 1 else lowest.value
            register = Signal(spare + len(value), name=f"{name}{level}_{number}", reset_less=True)
            m.d.sync += register.eq(Cat(lowest.value[:spare], value))
            kept = lowest.inverted and len(group) == 1
            most = sum(each.most for each in group)
            left.append(Operand(register, most, inverted=kept, shift=lowest.shift))
    return left


def _raised(group: Sequence[Operand], spare: int) -> Sum:
    """Return the sum of a group from the second one's lowest bit on."""
    first, *others = group
    base = first.shift + spare
    lowest = Operand(first.value[spare:], first.most >> base)
    rest = [replace(each, shift=each.shift - base, most=each.most >> base) for each in others]
    most = lowest.most + sum(each.most for each in rest)
    return Sum((lowest, *rest), most.bit_length())


def accumulate(
    m: Module,
    form: PortableForm,
    words: Sequence[Word],
    accumulators: Sequence[Value],
    valid: Value,
    clear: Value,
    cycles: int,
) -> None:
    """Add ``words``, at most one fewer than the form's operands, to an accumulator for each field.

    Parameters
    ----------
    valid, clear : of the step that the words come from, ``cycles`` cycles, at least 2, before the
        accumulators hold it: it is added; it starts new sums.
    """
    was_valid = Signal(cycles - 2)
    was_clear = Signal(cycles - 2, reset_less=True)
    m.d.sync += [
        was_valid.eq(Cat(valid, was_valid)),
        was_clear.eq(Cat(clear, was_clear)),
    ]
    # Copies for this unit, or one flip-flop would enable all accumulators of the array.
    enable = form.copy(m, Cat(valid, was_valid)[-1], "enable")
    keep = form.copy(m, ~Cat(clear, was_clear)[-1], "keep")
    sums = [
        Sum(
            (*(word[field] for word in words), Operand(total, (1 << len(total)) - 1, keep)),
            len(total),
        )
        for field, total in enumerate(accumulators)
    ]
    with m.If(enable):
        m.d.sync += [
            total.eq(value) for total, value in zip(accumulators, form.add(m, sums), strict=True)
        ]
