# SPDX-License-Identifier: Apache-2.0
"""The passes through the array that give the levels of a codebook.

In one pass a lane of the array contributes the level of one of its 16 codes. A pass plan lists the
passes whose levels, each scaled by ``2**pass shift``, sum to every level of a codebook; it is
derived from the levels by search, for each kind of array, never declared.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import combinations_with_replacement, product

from tritone.spec.array_code import CODE_LEVELS, ZERO_CODES
from tritone.spec.fewest_codes import fewest_codes
from tritone.spec.fixed import NIBBLE_BITS
from tritone.spec.level import Level
from tritone.spec.machine import ArrayKind

__all__ = ["MAX_PASSES", "PASS_SHIFTS", "TABLE_ENTRIES", "Pass", "PassPlan", "find_plan"]

TABLE_ENTRIES = 16
MAX_PASSES = 4
PASS_SHIFTS = (0, 4, 8)

_Levels = Sequence[Level | None]


@dataclass(frozen=True)
class Pass:
    """One pass through the array.

    The table translates nibbles while they are loaded into the pass's own plane of weight memory.

    Parameters
    ----------
    shift : the pass counts ``2**shift`` times.
    plane : which nibble of the stored weight it loads.
    table : the array's code for each of the 16 nibbles.
    """

    shift: int
    plane: int
    table: tuple[int, ...]


@dataclass(frozen=True)
class PassPlan:
    """The passes of a codebook and, for each of its codes, the stored nibbles (one per plane).

    Parameters
    ----------
    array : kind of the array that takes the passes.
    passes : in the order of their planes of weight memory.
    nibbles : of each code.
    """

    array: ArrayKind
    passes: tuple[Pass, ...]
    nibbles: tuple[tuple[int, ...], ...]

    @property
    def planes(self) -> int:
        """Nibbles stored for each weight."""
        return 1 + max(each.plane for each in self.passes)

    @cached_property
    def idle(self) -> tuple[int, ...]:
        """For each plane the nibble that is zero in every pass: what unused lanes hold."""
        found = [self.zeros(plane) for plane in range(self.planes)]
        for plane, zeros in enumerate(found):
            if not zeros:
                raise ValueError(
                    f"Plane {plane} of the pass plan must leave a nibble that means zero"
                )
        return tuple(zeros[0] for zeros in found)

    def zeros(self, plane: int) -> list[int]:
        """Return the nibbles of ``plane`` that are zero in every pass."""
        zero = ZERO_CODES[self.array]
        tables = [each.table for each in self.passes if each.plane == plane]
        return [n for n in range(TABLE_ENTRIES) if all(table[n] == zero for table in tables)]

    def added(self, index: int, code: int) -> Level:
        """Return what pass ``index`` adds for ``code`` of the codebook, before the pass's shift."""
        each = self.passes[index]
        return CODE_LEVELS[self.array][each.table[self.nibbles[code][each.plane]]]


@cache
def _terms(array: ArrayKind) -> dict[Level, int]:
    """Return the levels that a lane adds, other than nothing, with the first code of each.

    They are listed from small to large so that the search prefers the same, simplest sum every
    time.
    """
    first: dict[Level, int] = {}
    for code, level in enumerate(CODE_LEVELS[array]):
        if level != Level(0):
            first.setdefault(level, code)
    return dict(
        sorted(
            first.items(),
            key=lambda term: (
                abs(term[0].even) + abs(term[0].odd),
                term[0].odd != 0,
                term[0].scaled < 0,
            ),
        )
    )


@cache
def _sums(array: ArrayKind, shifts: tuple[int, ...]) -> dict[Level, tuple[int, ...]]:
    """Return every sum of one code for each of ``shifts``, with the first such codes."""
    if not shifts:
        return {Level(0): ()}
    *before, shift = shifts
    partials = _sums(array, tuple(before))
    sums = {partial: (*codes, ZERO_CODES[array]) for partial, codes in partials.items()}
    terms = [(level << shift, code) for level, code in _terms(array).items()]
    for partial, codes in partials.items():
        for level, code in terms:
            sums.setdefault(partial + level, (*codes, code))
    return sums


def _decompose(
    array: ArrayKind, levels: set[Level]
) -> tuple[tuple[int, ...], dict[Level, tuple[int, ...]]] | None:
    """Return the fewest pass shifts that reach all ``levels``, with the codes of each."""
    if any(level.odd for level in levels) and not array.odd_rail:
        return None
    for count in range(1, MAX_PASSES + 1):
        # Passes of one shift are accumulated before they are drained.
        choices = combinations_with_replacement(PASS_SHIFTS, count)
        for shifts in sorted(choices, key=lambda shifts: len(set(shifts))):
            sums = _sums(array, shifts)
            if all(level in sums for level in levels):
                found = {level: sums[level] for level in levels}
                return shifts, _narrowed(array, levels, shifts) or found
    return None


@cache
def _pairs(array: ArrayKind, shifts: tuple[int, int]) -> dict[Level, list[tuple[int, ...]]]:
    """Return every sum of two codes with all such codes, those of small levels first."""
    terms = {Level(0): ZERO_CODES[array], **_terms(array)}
    pairs: dict[Level, list[tuple[int, ...]]] = {}
    for (one, first), (two, second) in product(terms.items(), repeat=2):
        pairs.setdefault((one << shifts[0]) + (two << shifts[1]), []).append((first, second))
    return pairs


def _narrowed(
    array: ArrayKind, levels: set[Level], shifts: tuple[int, ...]
) -> dict[Level, tuple[int, ...]] | None:
    """Return the codes of each level in two passes of which one at least can be packed."""
    if len(shifts) != 2:
        return None
    pairs = _pairs(array, (shifts[0], shifts[1]))
    # Zero adds nothing in both, for the lanes that are not used.
    sums = {level: pairs[level][:1] if level == Level(0) else pairs[level] for level in levels}
    return fewest_codes(sums)


def _nibble_passes(array: ArrayKind, plane: int, entries: _Levels) -> tuple[Pass, ...] | None:
    """Return the passes by which the 16 ``entries`` of one nibble are looked up."""
    found = _decompose(array, {level for level in entries if level is not None})
    if found is None:
        return None
    shifts, codes = found
    return tuple(
        Pass(
            shift,
            plane,
            tuple(ZERO_CODES[array] if level is None else codes[level][index] for level in entries),
        )
        for index, shift in enumerate(shifts)
    )


def _digits(
    levels: _Levels, low_bits: int, first: Level
) -> tuple[tuple[Level | None, ...], tuple[Level | None, ...]] | None:
    """Return what the low and the high digit of a code add, if every level is such a sum.

    Sums leave a constant free: ``first`` is what the high digit of the lowest code adds.
    """
    count = 1 << low_bits
    used = [(code, level) for code, level in enumerate(levels) if level is not None]
    low: dict[int, Level] = {}
    high = {used[0][0] >> low_bits: first}
    # Each round knows more digits, until all that hang together with the first are known.
    known = 0
    while known < len(low) + len(high):
        known = len(low) + len(high)
        for code, level in used:
            a, b = code % count, code >> low_bits
            if b in high:
                low.setdefault(a, level - high[b])
            elif a in low:
                high[b] = level - low[a]
    for code, level in used:
        a, b = code % count, code >> low_bits
        if a not in low or b not in high or low[a] + high[b] != level:
            return None
    return (
        tuple(low.get(digit) for digit in range(TABLE_ENTRIES)),
        tuple(high.get(digit) for digit in range(TABLE_ENTRIES)),
    )


def _split_plans(array: ArrayKind, levels: _Levels, bits: int) -> Iterator[PassPlan]:
    """Yield plans with a plane for each of two digits of the code."""
    firsts = (Level(0), *(level << shift for shift in PASS_SHIFTS[:2] for level in _terms(array)))
    for low_bits in range(min(NIBBLE_BITS, bits - 1), max(0, bits - NIBBLE_BITS - 1), -1):
        for first in firsts:
            digits = _digits(levels, low_bits, first)
            if digits is None:
                break
            passes = [_nibble_passes(array, plane, each) for plane, each in enumerate(digits)]
            if passes[0] is not None and passes[1] is not None:
                yield PassPlan(
                    array,
                    passes[0] + passes[1],
                    tuple((code % (1 << low_bits), code >> low_bits) for code in range(1 << bits)),
                )


def _term_plan(array: ArrayKind, levels: _Levels) -> PassPlan | None:
    """Return a plan that stores the code of each pass as a nibble of its own."""
    found = _decompose(array, {level for level in levels if level is not None})
    if found is None:
        return None
    shifts, sums = found
    zero = ZERO_CODES[array]
    table = (zero, *_terms(array).values())
    nibble = {code: index for index, code in enumerate(table)}
    table += (zero,) * (TABLE_ENTRIES - len(table))
    return PassPlan(
        array,
        tuple(Pass(shift, index, table) for index, shift in enumerate(shifts)),
        tuple(
            (0,) * len(shifts) if level is None else tuple(nibble[code] for code in sums[level])
            for level in levels
        ),
    )


def _plans(array: ArrayKind, levels: _Levels) -> Iterator[PassPlan]:
    """Yield plans, those with fewer nibbles for a weight first."""
    bits = (len(levels) - 1).bit_length()
    if len(levels) <= TABLE_ENTRIES:
        entries = (*levels, *(None,) * (TABLE_ENTRIES - len(levels)))
        passes = _nibble_passes(array, 0, entries)
        if passes:
            yield PassPlan(array, passes, tuple((code,) for code in range(len(levels))))
    if bits > 1:
        yield from _split_plans(array, levels, bits)
    terms = _term_plan(array, levels)
    if terms:
        yield terms


@cache
def find_plan(array: ArrayKind, levels: tuple[Level | None, ...]) -> PassPlan | None:
    """Return the pass plan of ``levels``, a power of two of them, on an array of that kind.

    None: it needs more passes than the machine has, or a rail that the array does not have. It is
    the first of the fewest passes among: one nibble and its tables; a nibble for each of two digits
    of the code; a nibble for each pass. Every plane must leave a nibble that means zero for the
    lanes that are not used: 16 levels without a zero take two planes.
    """
    found: PassPlan | None = None
    for plan in _plans(array, levels):
        if len(plan.passes) > MAX_PASSES or not all(plan.zeros(n) for n in range(plan.planes)):
            continue
        if found is None or len(plan.passes) < len(found.passes):
            found = plan
    return found
