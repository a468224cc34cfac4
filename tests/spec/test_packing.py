# SPDX-License-Identifier: Apache-2.0
"""How passes are packed: what codes mean, and how many bits each layer takes."""

from __future__ import annotations

import pytest

from tritone.spec.catalog import CATALOG, codebook
from tritone.spec.machine import ArrayKind
from tritone.spec.packing import (
    TERM_WORDS,
    TERMS,
    Packing,
    PassTerms,
    choose_packing,
    find_terms,
)

NIBBLES, PAIRS, BITS = Packing


def _terms(name: str, array: ArrayKind = ArrayKind.POST) -> tuple[PassTerms, ...]:
    book = codebook(name)
    used = [code for code, level in enumerate(book.levels) if level is not None]
    return find_terms(book.plan(array), used)


def test_bits_and_words_fill_a_nibble() -> None:
    """Four, two and one bit; one, two and four words."""
    assert [(each.bits, each.words) for each in Packing] == [(4, 1), (2, 2), (1, 4)]


@pytest.mark.parametrize("array", ArrayKind)
@pytest.mark.parametrize("name", sorted(CATALOG))
def test_tables_hold_what_the_passes_take(name: str, array: ArrayKind) -> None:
    """Every code that a packed pass takes is in its table, where lanes are idle nothing as well."""
    if not codebook(name).runs(array):
        return
    plan = codebook(name).plan(array)
    for index, each in enumerate(_terms(name, array)):
        base, low, high = each.fields
        table = [base, base ^ low, base ^ high, base ^ low ^ high]
        assert list(each.table) == table
        levels = [code for code, level in enumerate(codebook(name).levels) if level is not None]
        step = plan.passes[index]
        taken = {step.table[plan.nibbles[code][step.plane]] for code in levels}
        assert set(each.used) == taken
        for idle in (False, True):
            needed = taken | {each.nothing} if idle else taken
            reached = {BITS: table[:2], PAIRS: table, NIBBLES: range(16)}[each.packing(idle)]
            assert needed <= {*reached}


@pytest.mark.parametrize(
    ("name", "array", "used", "whole", "idle"),
    [
        ("binary", ArrayKind.POST, [(0, 8)], [BITS], [PAIRS]),
        ("ternary", ArrayKind.POST, [(0, 8, 7)], [PAIRS], [PAIRS]),
        ("odd2", ArrayKind.POST, [(0, 8), (1, 9)], [BITS, BITS], [PAIRS, PAIRS]),
        ("int3", ArrayKind.POST, [(0, 8, 7), (1, 9, 7)], [PAIRS, PAIRS], [PAIRS, PAIRS]),
        ("odd2", ArrayKind.UNIFORM, [(1, 3, 13, 15)], [PAIRS], [NIBBLES]),
        ("binary", ArrayKind.UNIFORM, [(1, 15)], [BITS], [PAIRS]),
        ("post4", ArrayKind.POST, None, [NIBBLES], [NIBBLES]),
    ],
)
def test_widths_of_codebooks(
    name: str,
    array: ArrayKind,
    used: list[tuple[int, ...]] | None,
    whole: list[Packing],
    idle: list[Packing],
) -> None:
    """By hand: codes of the array, and the packing of 36 words with all lanes used and not."""
    terms = _terms(name, array)
    if used is not None:
        assert [each.used for each in terms] == used
    assert choose_packing(terms, 36, idle=False) == (tuple(whole), 36)
    assert choose_packing(terms, 36, idle=True) == (tuple(idle), 36)


@pytest.mark.parametrize(
    ("name", "walk", "packings", "filled"),
    [
        ("binary", 9, [BITS], 12),  # 3 words; 5 in pairs
        ("binary", 1, [NIBBLES], 1),  # nothing to gain
        ("binary", 2, [PAIRS], 2),
        ("odd3", 36, [BITS, NIBBLES], 36),
        # 9 words of nibbles and 9 of nibbles; filled up to 12 a pass of bits would take 3 but the
        # other one 12, filled up to 10 they take 5 and 10.
        ("odd3", 9, [PAIRS, NIBBLES], 10),
        ("odd3", 1, [NIBBLES, NIBBLES], 1),
        # Three planes lie at equal distances, so none is packed.
        ("odd4", 36, [NIBBLES] * 3, 36),
    ],
)
def test_walks_are_filled_up(name: str, walk: int, packings: list[Packing], filled: int) -> None:
    """The densest form that takes the fewest memory words, by hand."""
    assert choose_packing(_terms(name), walk, idle=False) == (tuple(packings), filled)


def test_a_program_has_room_for_all_terms() -> None:
    """Different records of all codebooks that can be packed, for each kind of array."""
    for array in ArrayKind:
        books = [book.name for book in CATALOG.values() if book.runs(array)]
        packed = {
            tuple(each.fields for each in _terms(name, array))
            for name in books
            if any(choose_packing(_terms(name, array), 36, idle=False)[0])
        }
        assert 0 < len(packed) <= TERM_WORDS
    assert TERMS.used_bits == 48
