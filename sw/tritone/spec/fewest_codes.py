# SPDX-License-Identifier: Apache-2.0
"""A choice among sums of several passes by which these take few different codes of the array.

Such passes can be packed: their weights take 1 or 2 bits of weight memory instead of a nibble.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from itertools import product
from math import prod
from operator import xor

from tritone.spec.fixed import NIBBLE_BITS
from tritone.spec.level import Level

__all__ = ["fewest_codes", "packed_bits"]

_Sum = tuple[int, ...]
_WIDTHS = (1, 2, NIBBLE_BITS)


def packed_bits(codes: set[int]) -> int:
    """Return the bits that tell ``codes`` of the array apart: 1, 2 or those of a nibble.

    Each bit of a packed code changes the same bits of what it means. So two codes always take 1 bit
    and three 2; four take 2 where the exclusive or of all is 0.
    """
    if len(codes) <= 2:
        return 1
    if len(codes) == 3 or (len(codes) == 4 and reduce(xor, codes) == 0):
        return 2
    return NIBBLE_BITS


def _assign(
    sums: Sequence[tuple[Level, Sequence[_Sum]]],
    widths: Sequence[int],
    held: Sequence[frozenset[int]],
) -> dict[Level, _Sum] | None:
    """Return a sum for each level whose codes, with those held, take no more than these bits."""
    if not sums:
        return {}
    (level, choices), *rest = sums
    for choice in choices:
        wanted = [own | {code} for own, code in zip(held, choice, strict=True)]
        if all(packed_bits({*own}) <= bits for own, bits in zip(wanted, widths, strict=True)):
            found = _assign(rest, widths, wanted)
            if found is not None:
                return {level: choice, **found}
    return None


def fewest_codes(sums: Mapping[Level, Sequence[_Sum]]) -> dict[Level, _Sum] | None:
    """Return for each level the one of its sums with which all passes take the fewest bits.

    None where each pass needs a nibble, whatever is chosen.

    Parameters
    ----------
    sums : for each level its sums, a code of the array for each pass, in the order of preference.
    """
    passes = len(next(iter(next(iter(sums.values())))))
    # What has the fewest sums decides most.
    ordered = sorted(sums.items(), key=lambda each: (len(each[1]), each[0]))
    for widths in sorted(product(_WIDTHS, repeat=passes), key=sum):
        if min(widths) < NIBBLE_BITS and prod(1 << bits for bits in widths) >= len(ordered):
            found = _assign(ordered, widths, (frozenset(),) * passes)
            if found is not None:
                return found
    return None
