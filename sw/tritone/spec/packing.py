# SPDX-License-Identifier: Apache-2.0
"""Packed weights: passes that take few different terms, stored in fewer bits than a nibble.

The nibble of a lane then holds its weights of 2 or 4 words that follow each other along a walk. The
layer names what their codes stand for: codes of the array, whatever these mean to its kind.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

from tritone.spec.fewest_codes import packed_bits
from tritone.spec.fixed import NIBBLE_BITS
from tritone.spec.machine import BEAT_BITS
from tritone.spec.pass_plan import MAX_PASSES, PassPlan
from tritone.spec.record import Field, Record

__all__ = [
    "TERMS",
    "TERM_WORDS",
    "Packing",
    "PassTerms",
    "choose_packing",
    "find_terms",
]

# Words of the memory of terms: codebooks of different terms that a program can pack.
TERM_WORDS = 16


class Packing(IntEnum):
    """How weight memory holds a pass: log2 of the words of a walk in one of its words."""

    # A code of the array each.
    NIBBLES = 0
    # 2 bits: word j of two at bits j (low) and j + 2 (high) of the nibble.
    PAIRS = 1
    # 1 bit: word j of four at bit j of the nibble.
    BITS = 2

    @property
    def bits(self) -> int:
        """Bits of a weight."""
        return NIBBLE_BITS >> self

    @property
    def words(self) -> int:
        """Words of a walk in a memory word."""
        return 1 << self


TERMS = Record(
    "terms",
    BEAT_BITS,
    "A word of the memory of terms: what the packed codes of each plane stand for. Code c means "
    "`base`, exclusive or `low` where bit 0 of c is set, exclusive or `high` where bit 1 is.",
    tuple(
        Field(f"plane{plane}_{name}", NIBBLE_BITS, f"{text} of plane {plane}")
        for plane in range(MAX_PASSES)
        for name, text in (
            ("base", "code of the array that code 0 means"),
            ("low", "in which bits that of code 1 differs"),
            ("high", "in which bits that of code 2 differs"),
        )
    ),
)


@dataclass(frozen=True)
class PassTerms:
    """The different codes of the array that a pass takes.

    Parameters
    ----------
    used : those of the levels, ascending, the one that adds nothing last.
    nothing : the one that adds nothing.
    """

    used: tuple[int, ...]
    nothing: int

    @property
    def table(self) -> tuple[int, int, int, int]:
        """Code of the array for each packed code; the last one follows from the others."""
        first, second, third = (*self.used, self.nothing, self.nothing)[:3]
        return first, second, third, first ^ second ^ third

    @property
    def fields(self) -> tuple[int, int, int]:
        """Base, low and high in a TERMS record."""
        base, low, high, _ = self.table
        return base, base ^ low, base ^ high

    def packing(self, idle: bool) -> Packing:
        """Return the least form that holds the terms.

        Parameters
        ----------
        idle : lanes that are not used meet activations, so that they must add nothing.
        """
        bits = packed_bits({*self.used, self.nothing} if idle else {*self.used})
        return next(packing for packing in Packing if packing.bits == bits)


def find_terms(plan: PassPlan, codes: Iterable[int]) -> tuple[PassTerms, ...]:
    """Return the terms of each pass of ``plan``.

    Parameters
    ----------
    codes : of the codebook that are used.
    """
    used = [plan.nibbles[code] for code in codes]
    found = []
    for each in plan.passes:
        nothing = each.table[plan.idle[each.plane]]
        terms = {each.table[nibbles[each.plane]] for nibbles in used}
        ordered = sorted(terms, key=lambda term: (term == nothing, term))
        found.append(PassTerms(tuple(ordered), nothing))
    return tuple(found)


def choose_packing(
    passes: Iterable[PassTerms], walk: int, idle: bool
) -> tuple[tuple[Packing, ...], int]:
    """Return how a layer stores each pass, and the words of its walk with those that fill up.

    A walk begins with a memory word of its own in every pass, so it is filled up to the words that
    the densest pass has in one. Of all bounds on the density that with the fewest memory words is
    taken, and the loosest packing of these.

    Parameters
    ----------
    passes : of the codebook, in order.
    walk : words of a walk.
    idle : lanes that are not used must add nothing.
    """
    least = [each.packing(idle) for each in passes]
    # The planes of a layer lie at equal distances: three or more are equally dense.
    if len(least) > 2:
        least = [min(least)] * len(least)
    best: tuple[int, tuple[Packing, ...], int] | None = None
    for bound in Packing:
        packings = tuple(min(each, bound) for each in least)
        densest = max(packings).words
        filled = -(-walk // densest) * densest
        words = sum(filled // each.words for each in packings)
        if best is None or words < best[0]:
            best = words, packings, filled
    assert best is not None
    return best[1], best[2]
