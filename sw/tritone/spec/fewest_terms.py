# SPDX-License-Identifier: Apache-2.0
"""Sums of two terms that take as few different ones as can be, so that they pack densely."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from itertools import product
from math import prod

from tritone.spec.fixed import NIBBLE_BITS
from tritone.spec.level import Level

__all__ = ["fewest_terms"]

# Different terms that 1, 2 and 4 bits tell apart.
_BOUNDS = {1 << bits: bits for bits in (1, 2, NIBBLE_BITS)}

_Sums = tuple[Level, ...]


def _assign(
    levels: Sequence[tuple[Level, Sequence[_Sums]]], bounds: Sequence[int], held: Sequence[set[Level]]
) -> dict[Level, _Sums] | None:
    """Return sums of all levels that add no more terms than the bounds allow to those held."""
    if not levels:
        return {}
    (level, sums), *rest = levels
    for terms in sums:
        wanted = [own | {term} for own, term in zip(held, terms, strict=True)]
        if all(len(own) <= bound for own, bound in zip(wanted, bounds, strict=True)):
            found = _assign(rest, bounds, wanted)
            if found is not None:
                return {level: terms, **found}
    return None


def fewest_terms(
    levels: Collection[Level], shifts: Sequence[int], terms: Iterable[Level]
) -> dict[Level, _Sums] | None:
    """Return for each level its terms in two passes; None where all need a nibble each.

    They are those whose codes, 1, 2 or 4 bits in a pass, are the shortest in all.

    Parameters
    ----------
    levels : what is to be reached.
    shifts : of the two passes.
    terms : what a lane can add in a pass, in the order of preference.
    """
    by_level = {Level(each.even, each.odd): each for each in terms}
    first, second = shifts
    sums: dict[Level, list[_Sums]] = {level: [] for level in levels}
    for one, two in product(by_level, repeat=2):
        total = (one << first) + (two << second)
        if total in sums:
            sums[total].append((one, two))
    # What has the fewest sums decides most.
    ordered = sorted(sums.items(), key=lambda each: (len(each[1]), each[0]))
    for bounds in sorted(
        product(_BOUNDS, repeat=2), key=lambda each: sum(_BOUNDS[bound] for bound in each)
    ):
        if min(bounds) == max(_BOUNDS):
            return None
        if prod(bounds) >= len(ordered):
            found = _assign(ordered, bounds, (set(), set()))
            if found is not None:
                return found
    return None
