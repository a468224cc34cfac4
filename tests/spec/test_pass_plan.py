# SPDX-License-Identifier: Apache-2.0
"""Pass plans give every level exactly, in the fewest passes, on each kind of array."""

from __future__ import annotations

from itertools import combinations_with_replacement, product

import pytest

from tritone.spec.catalog import CATALOG, codebook
from tritone.spec.codebook import Codebook
from tritone.spec.level import Level
from tritone.spec.machine import ArrayKind
from tritone.spec.pass_plan import Pass, PassPlan, find_plan

POST, UNIFORM, POT = ArrayKind.POST, ArrayKind.UNIFORM, ArrayKind.POT

# What one lane can add in one pass, written out: (even, odd).
ONE_PASS: dict[ArrayKind, set[tuple[int, int]]] = {
    POST: {(0, 0)}
    | {(sign * term, 0) for sign in (1, -1) for term in (1, 2, 4, 8)}
    | {(0, sign * term) for sign in (1, -1) for term in (1, 2, 4)},
    UNIFORM: {(value, 0) for value in range(-8, 8)},
    POT: {(0, 0)} | {(sign * 2**n, 0) for sign in (1, -1) for n in range(7)},
}

RUNS = [
    pytest.param(book, array, id=f"{book.name}-{array}")
    for book in CATALOG.values()
    for array in ArrayKind
    if book.runs(array)
]


def code_value(array: ArrayKind, word: int) -> tuple[int, int]:
    """Decode an array's code by hand; with two rails {sign, odd, shift[1:0]}."""
    sign = -1 if word >> 3 & 1 else 1
    match array:
        case ArrayKind.UNIFORM:
            return word - 16 * (word >> 3), 0
        case ArrayKind.POT:
            return (0 if word & 7 == 7 else sign << (word & 7)), 0
        case ArrayKind.POST:
            odd, shift = word >> 2 & 1, word & 3
            if odd and shift == 3:
                return 0, 0
            return sign * (1 - odd) << shift, sign * odd << shift


@pytest.mark.parametrize(("book", "array"), RUNS)
def test_passes_sum_to_every_level(book: Codebook, array: ArrayKind) -> None:
    """For each used code the table's codes of all passes, shifted, sum to the level."""
    plan = book.plan(array)
    for code, level in enumerate(book.levels):
        if level is None:
            continue
        even = odd = 0
        for index, step in enumerate(plan.passes):
            assert step.shift in (0, 4, 8)
            added = code_value(array, step.table[plan.nibbles[code][step.plane]])
            assert plan.added(index, code) == Level(*added)
            even += added[0] << step.shift
            odd += added[1] << step.shift
        assert (even, odd) == (level.even, level.odd)


@pytest.mark.parametrize(("book", "array"), RUNS)
def test_idle_nibbles_contribute_nothing(book: Codebook, array: ArrayKind) -> None:
    """The nibbles of unused lanes are zero on both rails in every pass."""
    plan = book.plan(array)
    for step in plan.passes:
        assert code_value(array, step.table[plan.idle[step.plane]]) == (0, 0)


@pytest.mark.parametrize(
    ("array", "passes", "names"),
    [
        (POST, 1, "post2 post3 post4 pot3 apot3 binary ternary"),
        (POST, 2, "pot4 int3 int4 fp4_e2m1 odd2 odd3 apot4 twopost6 twopost8"),
        (POST, 3, "post5 int5 int6 odd4 odd5 apot5"),
        (POST, 4, "int7 int8 odd6 odd7"),
        (UNIFORM, 1, "post2 pot3 apot3 binary ternary int2 int3 int4 odd2 odd3"),
        (UNIFORM, 2, "pot4 fp4_e2m1 apot4 apot5 int5 int6 int7 int8 odd4 odd5 odd6"),
        (UNIFORM, 3, "odd7 odd8"),
        (POT, 1, "post2 pot3 pot4 apot3 binary ternary int2"),
        (POT, 2, "int3 int4 fp4_e2m1 odd2 odd3 apot4 apot5"),
        (POT, 3, "int5 int6 odd4 odd5"),
        (POT, 4, "int7 int8 odd6 odd7"),
    ],
)
def test_pass_counts(array: ArrayKind, passes: int, names: str) -> None:
    """Precision costs cycles: the figures of docs/architecture.md."""
    counts = {name: len(codebook(name).plan(array).passes) for name in names.split()}
    assert counts == dict.fromkeys(counts, passes)


# A table has 16 entries: more levels than a nibble for each pass would store.
_BY_NIBBLES = {("int8", POST), ("int8", POT)}


@pytest.mark.parametrize(
    ("book", "array"),
    [param for param in RUNS if (param.values[0].name, param.values[1]) not in _BY_NIBBLES],
)
def test_plans_are_minimal(book: Codebook, array: ArrayKind) -> None:
    """No plan with fewer passes reaches every level: all sums of fewer codes, by brute force.

    int8 is left out where its four passes are two for each nibble, not four for the whole.
    """
    levels = {(level.even, level.odd) for level in book.levels if level is not None}
    for count in range(len(book.plan(array).passes)):
        for shifts in combinations_with_replacement((0, 4, 8), count):
            reached = {
                (
                    sum(term[0] << shift for term, shift in zip(terms, shifts, strict=True)),
                    sum(term[1] << shift for term, shift in zip(terms, shifts, strict=True)),
                )
                for terms in product(ONE_PASS[array], repeat=count)
            }
            assert not levels <= reached


def test_nibbles_of_int8() -> None:
    """A signed nibble needs two passes on powers of two, since one gives no 3; one on integers.

    Both passes have the nibble's own shift, so that they are drained together.
    """
    for array in (POST, POT):
        passes = codebook("int8").plan(array).passes
        assert [(each.shift, each.plane) for each in passes] == [(0, 0), (0, 0), (4, 1), (4, 1)]
        assert (3, 0) not in ONE_PASS[array]
    passes = codebook("int8").plan(UNIFORM).passes
    assert [(each.shift, each.plane) for each in passes] == [(0, 0), (4, 1)]
    # A high digit of -8 would reach -121 at least, beyond -119.
    assert [each.table for each in passes] == [tuple(range(16)), (*range(8), 0, *range(9, 16))]


def test_sixteen_levels_without_zero_take_two_planes() -> None:
    """odd4 fills a nibble, which leaves none for unused lanes: code 8 * high + low is
    (16 * high - 8) + (2 * low - 7), and each digit leaves nibbles that mean nothing."""
    plan = codebook("odd4").plan(POST)
    assert plan.nibbles == tuple((code % 8, code // 8) for code in range(16))
    assert [each.plane for each in plan.passes] == [0, 0, 1]
    for digit in range(8):
        low = [code_value(POST, each.table[digit]) for each in plan.passes[:2]]
        assert sum(term[0] for term in low) == 2 * digit - 7
    high = [code_value(POST, plan.passes[2].table[digit]) for digit in (0, 1)]
    assert high == [(-8, 0), (8, 0)]


def test_a_digit_for_each_nibble_saves_planes() -> None:
    """int7 stores two nibbles and not one for each of its four terms."""
    assert codebook("int7").plan(POST).planes == 2


def test_a_plane_without_a_zero_nibble_has_no_idle_nibble() -> None:
    """Unused lanes need a nibble that means nothing in every pass of its plane."""
    plan = PassPlan(POST, (Pass(0, 0, (0,) * 16),), ((0,),))
    with pytest.raises(ValueError, match=r"^Plane 0 of the pass plan must leave a nibble"):
        _ = plan.idle


@pytest.mark.parametrize(("name", "array"), [("post4", POST), ("pot4", POT)])
def test_codes_of_an_array_are_stored_as_they_are(name: str, array: ArrayKind) -> None:
    """Its own codebook's table changes nothing but the second zero."""
    (only,) = codebook(name).plan(array).passes
    assert only.table == (*range(15), 0b0111)


def test_integers_are_stored_as_they_are() -> None:
    """But for -8, which int4 does not use."""
    (only,) = codebook("int4").plan(UNIFORM).passes
    assert only.table == (*range(8), 0, *range(9, 16))


def test_plans_are_found_once() -> None:
    """A second search of equal levels is none."""
    levels = codebook("int4").levels
    assert find_plan(UNIFORM, levels) is find_plan(UNIFORM, tuple(levels))
