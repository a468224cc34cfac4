# SPDX-License-Identifier: Apache-2.0
"""Pass plans give every level exactly, in the fewest passes."""

from __future__ import annotations

from itertools import combinations_with_replacement, product

import pytest

from tritone.spec.catalog import CATALOG, codebook
from tritone.spec.codebook import (
    TERM_CODE,
    ZERO_TERM,
    Codebook,
    Level,
    Pass,
    PassPlan,
    Term,
    decode_term,
)

BOOKS = [pytest.param(book, id=book.name) for book in CATALOG.values() if book.runs]

# What one lane can add in one pass, written out: (even, odd).
ONE_PASS = {(0, 0)}
ONE_PASS |= {(sign * term, 0) for sign in (1, -1) for term in (1, 2, 4, 8)}
ONE_PASS |= {(0, sign * term) for sign in (1, -1) for term in (1, 2, 4)}


def table_value(word: int) -> tuple[int, int]:
    """Decode a lookup table entry by hand: {sign, odd, shift[1:0]}, odd with 3 is nothing."""
    sign = -1 if word >> 3 & 1 else 1
    odd, shift = word >> 2 & 1, word & 3
    if odd and shift == 3:
        return 0, 0
    return sign * (1 - odd) << shift, sign * odd << shift


@pytest.mark.parametrize("book", BOOKS)
def test_passes_sum_to_every_level(book: Codebook) -> None:
    """For each used code the table terms of all passes, shifted, sum to the level on both rails."""
    for code, level in enumerate(book.levels):
        if level is None:
            continue
        even = odd = 0
        for step in book.plan.passes:
            term = table_value(step.table[book.plan.nibbles[code][step.plane]])
            even += term[0] << step.shift
            odd += term[1] << step.shift
        assert (even, odd) == (level.even, level.odd)


@pytest.mark.parametrize("book", BOOKS)
def test_idle_nibbles_contribute_nothing(book: Codebook) -> None:
    """The nibbles of unused lanes are zero on both rails in every pass."""
    for step in book.plan.passes:
        assert table_value(step.table[book.plan.idle[step.plane]]) == (0, 0)


@pytest.mark.parametrize(
    ("names", "passes"),
    [
        (("post2", "post3", "post4", "pot3", "apot3", "binary", "ternary"), 1),
        (("pot4", "int3", "int4", "fp4_e2m1", "odd2", "odd3", "apot4", "twopost6", "twopost8"), 2),
        (("post5", "int5", "int6", "odd4", "odd5", "apot5"), 3),
        (("int7", "int8", "odd6", "odd7"), 4),
    ],
)
def test_pass_counts(names: tuple[str, ...], passes: int) -> None:
    """Precision costs cycles: the figures of docs/architecture.md."""
    assert [len(codebook(name).plan.passes) for name in names] == [passes] * len(names)


@pytest.mark.parametrize("book", [param for param in BOOKS if param.id != "int8"])
def test_plans_are_minimal(book: Codebook) -> None:
    """No plan with fewer passes reaches every level: all sums of fewer terms, by brute force.

    int8 is left out: its four passes are two for each nibble, not four for the whole.
    """
    levels = {(level.even, level.odd) for level in book.levels if level is not None}
    for count in range(len(book.plan.passes)):
        for shifts in combinations_with_replacement((0, 4, 8), count):
            reached = {
                (
                    sum(term[0] << shift for term, shift in zip(terms, shifts, strict=True)),
                    sum(term[1] << shift for term, shift in zip(terms, shifts, strict=True)),
                )
                for terms in product(ONE_PASS, repeat=count)
            }
            assert not levels <= reached


def test_nibbles_of_int8_each_take_two_passes() -> None:
    """Each signed nibble needs two passes, since one gives no 3."""
    assert [(step.shift, step.plane) for step in codebook("int8").plan.passes] == [
        (0, 0),
        (0, 0),
        (4, 1),
        (4, 1),
    ]
    assert (3, 0) not in ONE_PASS


def test_sixteen_levels_without_zero_take_two_planes() -> None:
    """odd4 fills a nibble, which leaves none for unused lanes: code 8 * high + low is
    (16 * high - 8) + (2 * low - 7), and each digit leaves nibbles that mean nothing."""
    plan = codebook("odd4").plan
    assert plan.nibbles == tuple((code % 8, code // 8) for code in range(16))
    assert [each.plane for each in plan.passes] == [0, 0, 1]
    for digit in range(8):
        low = [table_value(each.table[digit]) for each in plan.passes[:2]]
        assert sum(term[0] for term in low) == 2 * digit - 7
    assert [table_value(plan.passes[2].table[digit]) for digit in (0, 1)] == [(-8, 0), (8, 0)]


def test_a_digit_for_each_nibble_saves_planes() -> None:
    """int7 stores two nibbles and not one for each of its four terms."""
    assert codebook("int7").plan.planes == 2


def test_what_needs_five_passes_does_not_run() -> None:
    """171 = 10101011b has five signed digits and no fewer; odd8 can still be trained."""
    assert not codebook("odd8").runs
    with pytest.raises(ValueError, match=r"^Codebook odd8 must need at most 4 passes"):
        _ = codebook("odd8").plan


def test_more_than_four_passes_are_refused_by_name() -> None:
    """Levels that five terms are needed for have no plan."""
    wide = (1 << 13) - 1  # all terms with shift 8 or less reach 8 * 2**8 each
    book = Codebook("wide", 1, (Level(0), Level(wide)), wide)
    with pytest.raises(
        ValueError, match=r"^Codebook wide must need at most 4 passes; it needs more"
    ):
        _ = book.plan


def test_codebook_must_have_an_entry_for_each_code() -> None:
    """The number of levels is two to the bits."""
    with pytest.raises(ValueError, match=r"^Codebook odd must have 2\*\*2 entries, not 3$"):
        Codebook("odd", 2, (Level(0), Level(1), Level(-1)), 1)


def test_unused_codes_are_refused() -> None:
    """A code without a level, and one outside, have no level."""
    for code in (8, 16, -1):
        with pytest.raises(
            ValueError, match=rf"^Code must be one that codebook int4 uses, not {code}$"
        ):
            codebook("int4").level(code)


def test_zero_code() -> None:
    """The code of zero is the lowest that means zero; binary has none."""
    assert codebook("post4").zero_code == 7
    assert codebook("int4").zero_code == 0
    assert not codebook("binary").has_zero
    with pytest.raises(ValueError, match=r"^Codebook binary must have a zero level"):
        _ = codebook("binary").zero_code


def test_codes_are_sorted_and_distinct() -> None:
    """One code for each level, from the smallest value to the largest."""
    book = codebook("post3")
    assert book.codes == (5, 6, 4, 3, 0, 2, 1)
    assert [book.value(code) for code in book.codes] == [
        -1.0,
        -181 / 256,
        -0.5,
        0.0,
        0.5,
        181 / 256,
        1.0,
    ]


def test_a_plane_without_a_zero_nibble_has_no_idle_nibble() -> None:
    """Unused lanes need a nibble that means nothing in every pass of its plane."""
    always = Term(1, False, 0).code
    plan = PassPlan((Pass(0, 0, (always,) * 16),), ((0,),))
    with pytest.raises(ValueError, match=r"^Plane 0 of the pass plan must leave a nibble"):
        _ = plan.idle


def test_term_code() -> None:
    """The code is {sign, odd, shift}, as programs hold it; odd with shift 3 adds nothing."""
    assert Term(-1, True, 2).code == 0b1110
    assert Term(1, False, 3).code == 0b0011
    assert TERM_CODE.unpack(0b1110) == {"shift": 2, "odd": 1, "sign": 1}
    assert ZERO_TERM == 0b0111
    terms = {code: decode_term(code) for code in range(16)}
    assert [code for code, term in terms.items() if term is None] == [0b0111, 0b1111]
    assert all(term.code == code for code, term in terms.items() if term is not None)


def test_post4_is_stored_as_its_terms() -> None:
    """The codes of POST4 are term codes already: its table changes nothing but the second zero."""
    (only,) = codebook("post4").plan.passes
    assert only.table == (*range(15), ZERO_TERM)
