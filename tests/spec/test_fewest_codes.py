# SPDX-License-Identifier: Apache-2.0
"""Sums that take few codes, against every choice of few codes there is."""

from __future__ import annotations

from itertools import combinations, product

import pytest

from tritone.spec.catalog import codebook
from tritone.spec.fewest_codes import fewest_codes, packed_bits
from tritone.spec.level import Level
from tritone.spec.machine import ArrayKind


@pytest.mark.parametrize(
    ("codes", "bits"),
    [
        ({7}, 1),
        ({0, 8}, 1),
        ({0, 7, 8}, 2),
        ({0, 1, 8, 9}, 2),  # 0 ^ 1 ^ 8 ^ 9 = 0
        ({1, 3, 13, 15}, 2),  # +-1 and +-3 in two's complement
        ({0, 7, 8, 15}, 2),
        ({0, 1, 7, 8}, 4),  # 0 ^ 1 ^ 7 ^ 8 = 14
        ({0, 1, 2, 3, 4}, 4),
    ],
)
def test_bits_of_a_code(codes: set[int], bits: int) -> None:
    """A fourth code must be what the bits of the other three make it."""
    assert packed_bits(codes) == bits


def test_four_codes_are_all_that_two_bits_mean() -> None:
    """Of all sets of four those that are base, base ^ a, base ^ b and base ^ a ^ b."""
    spanned = {
        frozenset({base, base ^ a, base ^ b, base ^ a ^ b})
        for base, a, b in product(range(16), repeat=3)
    }
    for codes in combinations(range(16), 4):
        assert (packed_bits({*codes}) == 2) == (frozenset(codes) in spanned)


# One lane of the array `post` in one pass, written out: code and level.
LANE = {7: 0} | {shift + 8 * sign: (1 - 2 * sign) << shift for shift in range(4) for sign in (0, 1)}


def _sums(levels: range | list[int]) -> dict[Level, list[tuple[int, ...]]]:
    return {
        Level(level): [(a, b) for a, b in product(LANE, repeat=2) if LANE[a] + LANE[b] == level]
        for level in levels
    }


@pytest.mark.parametrize(
    ("levels", "bits"),
    [
        ([-3, -1, 1, 3], 2),
        ([-7, -5, -3, -1, 1, 3, 5, 7], 5),
        ([-12, -7, -6, -2, 0, 1, 2, 3], 5),
        (range(-7, 8), 8),
    ],
)
def test_the_fewest_bits_are_found(levels: range | list[int], bits: int) -> None:
    """Each level is its sum; by trial of all sets of few codes nothing takes fewer bits.

    Of 15 integers zero must be nothing in both passes, which then need a nibble each.
    """
    sums = _sums(levels)
    if bits == 8:
        sums[Level(0)] = [(7, 7)]
    found = fewest_codes(sums)
    assert (found is None) == (bits == 8)
    for level, codes in (found or {}).items():
        assert sum(LANE[code] for code in codes) == level.even
    if found:
        used = [packed_bits({codes[index] for codes in found.values()}) for index in range(2)]
        assert sum(used) == bits

    def reaches(first: set[int], second: set[int]) -> bool:
        return all(any(a in first and b in second for a, b in each) for each in sums.values())

    few = [set(codes) for count in (1, 2, 3, 4) for codes in combinations(LANE, count)]
    few = [codes for codes in few if packed_bits(codes) < 4]
    # Sums go both ways, so the second pass may as well be the wider one.
    totals = [
        packed_bits(first) + packed_bits(second)
        for first in few
        for second in [*few, set(LANE)]
        if reaches(first, second)
    ]
    assert min(totals, default=8) == bits


def test_odd_levels_are_two_passes_of_a_sign() -> None:
    """+-2 +-1 gives +-1 and +-3: EWGS's 2-bit weights take a bit in each pass."""
    for array in (ArrayKind.POST, ArrayKind.POT):
        book = codebook("odd2")
        plan = book.plan(array)
        found = [{plan.added(index, code).even for code in range(4)} for index in range(2)]
        assert found == [{-1, 1}, {-2, 2}]
