# SPDX-License-Identifier: Apache-2.0
"""Sums of several words and of shifted numbers, by adders of two and of three."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest
from amaranth.hdl import Module, Signal, Value
from amaranth.sim import Simulator

from tritone_hw.adder_tree import Word, add_shifted, add_tree, flippable_words
from tritone_hw.platform.portable import Operand, PortableForm, Sum


class Ternary(PortableForm):
    """Adders of three."""

    OPERANDS = 3


class Flipping(Ternary):
    """Adders of three whose last operand may be complemented, or of two that both may."""

    def flips(self, operands: int) -> int:
        return {2: 2, 3: 1}.get(operands, 0)

    def add(self, m: Module, sums: Sequence[Sum]) -> list[Value]:
        for each in sums:
            steady = each.operands[: len(each.operands) - self.flips(len(each.operands))]
            assert all(operand.control is None for operand in steady)
        return super().add(m, sums)


FORMS = pytest.mark.parametrize("form", [PortableForm(), Ternary()], ids=["two", "three"])


def simulate(m: Module, bench: Any) -> None:
    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


def tree_sums(
    m: Module,
    inputs: Sequence[Sequence[Signal]],
    left: Sequence[Word],
    steps: Sequence[Sequence[Sequence[int]]],
    levels: int,
) -> list[tuple[int, ...]]:
    """Return, field by field, what the words that are left come to, ``levels`` behind each step."""
    found: list[tuple[int, ...]] = []

    async def bench(ctx: Any) -> None:
        for cycle in range(len(steps) + levels):
            for signals, values in zip(inputs, steps[min(cycle, len(steps) - 1)], strict=True):
                for signal, value in zip(signals, values, strict=True):
                    ctx.set(signal, value)
            fields = zip(*left, strict=True)
            found.append(tuple(sum(ctx.get(each.effective) for each in field) for field in fields))
            await ctx.tick()

    simulate(m, bench)
    return found[levels:]


@FORMS
@pytest.mark.parametrize("levels", [1, 3, 4])
def test_a_tree_leaves_one_word(form: PortableForm, levels: int) -> None:
    """Two fields of 3 and 2 bits, each word's own mask on the first; a word in, the sum out."""
    m = Module()
    inputs = [(Signal(3), Signal(2), Signal()) for _ in range(1 << levels)]
    words = [(Operand(a, 7, mask), Operand(b, 3)) for a, b, mask in inputs]
    (word,) = add_tree(m, form, words, levels, single=True)
    assert [each.most for each in word] == [7 << levels, 3 << levels]
    rng = random.Random(levels)
    steps = [
        [(rng.choice((7, rng.randrange(8))), rng.randrange(4), rng.randrange(2)) for _ in inputs]
        for _ in range(40)
    ]
    expected = [
        (sum(a * mask for a, _, mask in step), sum(b for _, b, _ in step)) for step in steps
    ]
    assert tree_sums(m, inputs, [word], steps, levels) == expected


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (2, "--"),  # both wait for the accumulators
        (4, "--f-"),
        (8, "--f--fff"),
        (16, "--f" * 5 + "f"),  # the last one is the third of an adder of the second level
        (32, "--f" * 10 + "ff"),
        (64, "--f" * 21 + "f"),  # and here the second of two, of the third level
    ],
)
def test_words_that_may_be_complemented(count: int, expected: str) -> None:
    """Those that an adder has an input left for; none where masks take them."""
    assert flippable_words(Flipping(), count) == [each == "f" for each in expected]
    assert flippable_words(PortableForm(), count) == [False] * count


@pytest.mark.parametrize("levels", [1, 2, 3, 4, 5, 6])
def test_complements(levels: int) -> None:
    """Two fields of 3 and 2 bits, each with a complement where there may be one."""
    m, form = Module(), Flipping()
    inputs = [(Signal(3), Signal(2), Signal()) for _ in range(1 << levels)]
    flippable = flippable_words(form, len(inputs))
    words = [
        (Operand(a, 7, flip=flip), Operand(b, 3, flip=flip))
        if may
        else (Operand(a, 7), Operand(b, 3))
        for (a, b, flip), may in zip(inputs, flippable, strict=True)
    ]
    left = add_tree(m, form, words, levels)
    assert len(left) < form.OPERANDS
    assert all(each.control is None for word in left for each in word)
    rng = random.Random(levels)
    steps = [
        [(rng.randrange(8), rng.randrange(4), may and rng.randrange(2)) for may in flippable]
        for _ in range(40)
    ]
    expected = [
        (
            sum(7 - a if flip else a for a, _, flip in step),
            sum(3 - b if flip else b for _, b, flip in step),
        )
        for step in steps
    ]
    assert tree_sums(m, inputs, left, steps, levels) == expected


@FORMS
@pytest.mark.parametrize("inverted", [False, True])
def test_shifted_numbers(form: PortableForm, inverted: bool) -> None:
    """5 bits at the places 0 to 3; the highest one's bits inverted: 31 * 8 less it."""
    m = Module()
    inputs = [Signal(5) for _ in range(4)]
    operands = [
        Operand(each, 31 << place, shift=place, inverted=inverted and place == 3)
        for place, each in enumerate(inputs)
    ]
    left = add_shifted(m, form, operands, 2, "sum")
    assert len(left) < form.OPERANDS
    assert sum(each.most for each in left) == 31 * 15
    rng = random.Random(1)
    steps = [[rng.choice((0, 31, rng.randrange(32))) for _ in inputs] for _ in range(60)]
    found = []

    async def bench(ctx: Any) -> None:
        for cycle in range(len(steps) + 2):
            for signal, value in zip(inputs, steps[min(cycle, len(steps) - 1)], strict=True):
                ctx.set(signal, value)
            found.append(sum(ctx.get(each.effective) for each in left))
            await ctx.tick()

    simulate(m, bench)
    assert found[2:] == [
        a + 2 * b + 4 * c + 8 * (31 - d if inverted else d) for a, b, c, d in steps
    ]
