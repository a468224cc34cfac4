# SPDX-License-Identifier: Apache-2.0
"""Codebooks: exact weight levels, and the passes through the array that give them.

A level is ``(even + odd * sqrt 2) / unit`` with integers even and odd: the two rails of the array.
In one pass a lane of the array contributes one term: nothing, ``+-2**shift`` on the even rail
(shift 0..3) or ``+-2**shift`` on the odd rail (shift 0..2). A pass plan lists the passes whose
terms, each scaled by ``2**pass shift``, sum to every level of a codebook; it is derived from the
levels by search, never declared.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import combinations_with_replacement

from tritone.spec.fixed import NIBBLE_BITS, SQRT2, SQRT2_FRACTION, SQRT2_NUMERATOR
from tritone.spec.record import Field, Record

__all__ = [
    "MAX_PASSES",
    "PASS_SHIFTS",
    "TABLE_ENTRIES",
    "TERM_CODE",
    "ZERO_TERM",
    "Codebook",
    "Level",
    "Pass",
    "PassPlan",
    "Term",
    "decode_term",
    "find_plan",
]

TABLE_ENTRIES = 16
MAX_PASSES = 4
PASS_SHIFTS = (0, 4, 8)

TERM_CODE = Record(
    "term_code",
    NIBBLE_BITS,
    "What a lane of the array does with an activation: a nibble of weight memory. Odd with shift 3 "
    "adds nothing.",
    (
        Field("shift", 2, "left shift of the activation"),
        Field("odd", 1, "adds to the odd rail, whose unit is sqrt 2, not to the even one"),
        Field("sign", 1, "negative"),
    ),
)
# The term code that a codebook uses where a lane adds nothing.
ZERO_TERM = TERM_CODE.pack({"shift": 3, "odd": 1, "sign": 0})


@dataclass(frozen=True, order=True)
class Level:
    """The exact value ``even + odd * sqrt 2`` in units of its codebook."""

    even: int
    odd: int = 0

    @property
    def scaled(self) -> int:
        """128 times the value: the integer that the machine multiplies an activation by."""
        return (self.even << SQRT2_FRACTION) + SQRT2_NUMERATOR * self.odd

    def __add__(self, other: Level) -> Level:
        return Level(self.even + other.even, self.odd + other.odd)

    def __sub__(self, other: Level) -> Level:
        return Level(self.even - other.even, self.odd - other.odd)


@dataclass(frozen=True)
class Term:
    """What one lane contributes in one pass: ``sign * 2**shift`` on one rail."""

    sign: int
    odd: bool
    shift: int

    @property
    def level(self) -> Level:
        """The term as a level."""
        value = self.sign << self.shift if self.sign > 0 else -(1 << self.shift)
        return Level(0, value) if self.odd else Level(value)

    @property
    def code(self) -> int:
        """The TERM_CODE of the term."""
        return TERM_CODE.pack({"shift": self.shift, "odd": self.odd, "sign": self.sign < 0})


def decode_term(code: int) -> Term | None:
    """Return the term of a TERM_CODE; None where the lane adds nothing."""
    fields = TERM_CODE.unpack(code)
    term = Term(-1 if fields["sign"] else 1, bool(fields["odd"]), fields["shift"])
    return term if term in TERMS else None


# Listed from small to large so that the search prefers the same, simplest sum every time.
TERMS = tuple(
    Term(sign, odd, shift)
    for shift in range(4)
    for odd in (False, True)
    for sign in (1, -1)
    if shift < 4 - odd
)


@dataclass(frozen=True)
class Pass:
    """One pass through the array.

    The table translates nibbles while they are loaded into the pass's own plane of weight memory.

    Parameters
    ----------
    shift : the pass counts ``2**shift`` times.
    plane : which nibble of the stored weight it loads.
    table : TERM_CODE for each of the 16 nibbles.
    """

    shift: int
    plane: int
    table: tuple[int, ...]


@dataclass(frozen=True)
class PassPlan:
    """The passes of a codebook and, for each of its codes, the stored nibbles (one per plane)."""

    passes: tuple[Pass, ...]
    nibbles: tuple[tuple[int, ...], ...]

    @property
    def planes(self) -> int:
        """Nibbles stored for each weight."""
        return 1 + max(each.plane for each in self.passes)

    @property
    def even(self) -> bool:
        """Whether it takes the even rail alone: an array without the odd one runs it."""
        codes = (p.table[n[p.plane]] for p in self.passes for n in self.nibbles)
        return not any(term is not None and term.odd for term in map(decode_term, codes))

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
        tables = [each.table for each in self.passes if each.plane == plane]
        return [n for n in range(TABLE_ENTRIES) if all(table[n] == ZERO_TERM for table in tables)]


@dataclass(frozen=True)
class Codebook:
    """A set of weight levels.

    Parameters
    ----------
    name : identifier.
    bits : width of a code.
    levels : ``levels[code]`` is the level of a code, None for a code that is not used.
    unit : the magnitude that means 1, so that a weight is ``alpha * level / unit``; the largest
        magnitude.
    """

    name: str
    bits: int
    levels: tuple[Level | None, ...]
    unit: int

    def __post_init__(self) -> None:
        if len(self.levels) != 1 << self.bits:
            raise ValueError(
                f"Codebook {self.name} must have 2**{self.bits} entries, not {len(self.levels)}"
            )

    @cached_property
    def codes(self) -> tuple[int, ...]:
        """One code, the lowest, for each distinct level, in the order of their values."""
        first: dict[Level, int] = {}
        for code, level in enumerate(self.levels):
            if level is not None:
                first.setdefault(level, code)
        return tuple(first[level] for level in sorted(first, key=lambda level: level.scaled))

    @cached_property
    def sorted_levels(self) -> tuple[Level, ...]:
        """The distinct levels in the order of their values; the codes are ``codes``."""
        return tuple(self.level(code) for code in self.codes)

    @property
    def has_zero(self) -> bool:
        """Whether zero is a level."""
        return Level(0) in self.sorted_levels

    @property
    def zero_code(self) -> int:
        """The code of zero."""
        if not self.has_zero:
            raise ValueError(f"Codebook {self.name} must have a zero level to be padded with")
        return next(code for code in self.codes if self.levels[code] == Level(0))

    def level(self, code: int) -> Level:
        """Return the level of ``code``."""
        level = self.levels[code] if 0 <= code < len(self.levels) else None
        if level is None:
            raise ValueError(f"Code must be one that codebook {self.name} uses, not {code}")
        return level

    def value(self, code: int) -> float:
        """Return the value of ``code`` for alpha = 1; sqrt 2 is 181/128."""
        level = self.level(code)
        return (level.even + level.odd * SQRT2) / self.unit

    @cached_property
    def _plan(self) -> PassPlan | None:
        return find_plan(self)

    @property
    def runs(self) -> bool:
        """Whether the machine can run it; it can be trained and exported either way."""
        return self._plan is not None

    @property
    def plan(self) -> PassPlan:
        """The derived pass plan.

        Raises
        ------
        ValueError : more than 4 passes would be needed.
        """
        if self._plan is None:
            raise ValueError(
                f"Codebook {self.name} must need at most {MAX_PASSES} passes; it needs more"
            )
        return self._plan


@cache
def _sums(shifts: tuple[int, ...]) -> dict[Level, tuple[Term | None, ...]]:
    """Return every sum of one term for each of ``shifts``, with the first such terms."""
    sums: dict[Level, tuple[Term | None, ...]] = {Level(0): ()}
    for shift in shifts:
        longer: dict[Level, tuple[Term | None, ...]] = {}
        for partial, terms in sums.items():
            longer.setdefault(partial, (*terms, None))
        for partial, terms in sums.items():
            for term in TERMS:
                level = term.level
                total = partial + Level(level.even << shift, level.odd << shift)
                longer.setdefault(total, (*terms, term))
        sums = longer
    return sums


def _decompose(
    levels: set[Level],
) -> tuple[tuple[int, ...], dict[Level, tuple[Term | None, ...]]] | None:
    """Return the fewest pass shifts that reach all ``levels``, with the terms of each."""
    for count in range(1, MAX_PASSES + 1):
        for shifts in combinations_with_replacement(PASS_SHIFTS, count):
            sums = _sums(shifts)
            if all(level in sums for level in levels):
                return shifts, {level: sums[level] for level in levels}
    return None


def _code(term: Term | None) -> int:
    return ZERO_TERM if term is None else term.code


def _nibble_passes(plane: int, entries: tuple[Level | None, ...]) -> tuple[Pass, ...] | None:
    """Return the passes by which the 16 ``entries`` of one nibble are looked up."""
    found = _decompose({level for level in entries if level is not None})
    if found is None:
        return None
    shifts, terms = found
    return tuple(
        Pass(
            shift,
            plane,
            tuple(ZERO_TERM if level is None else _code(terms[level][index]) for level in entries),
        )
        for index, shift in enumerate(shifts)
    )


def _digits(
    book: Codebook, low_bits: int, first: Level
) -> tuple[tuple[Level | None, ...], tuple[Level | None, ...]] | None:
    """Return what the low and the high digit of a code add, if every level is such a sum.

    Sums leave a constant free: ``first`` is what the high digit of the lowest code adds.
    """
    count = 1 << low_bits
    used = [(code, level) for code, level in enumerate(book.levels) if level is not None]
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


def _split_plans(book: Codebook) -> Iterator[PassPlan]:
    """Yield plans with a plane for each of two digits of the code."""
    firsts = (
        Level(0),
        *(Level(t.level.even << s, t.level.odd << s) for s in (0, 4) for t in TERMS),
    )
    for low_bits in range(min(NIBBLE_BITS, book.bits - 1), max(0, book.bits - NIBBLE_BITS - 1), -1):
        for first in firsts:
            digits = _digits(book, low_bits, first)
            passes = digits and (_nibble_passes(0, digits[0]), _nibble_passes(1, digits[1]))
            if passes and passes[0] is not None and passes[1] is not None:
                yield PassPlan(
                    passes[0] + passes[1],
                    tuple(
                        (code % (1 << low_bits), code >> low_bits)
                        for code in range(len(book.levels))
                    ),
                )


def _term_plan(book: Codebook) -> PassPlan | None:
    """Return a plan that stores the term of each pass as a nibble of its own."""
    found = _decompose({level for level in book.levels if level is not None})
    if found is None:
        return None
    shifts, terms = found
    nibble: dict[Term | None, int] = {None: 0} | {
        term: 1 + index for index, term in enumerate(TERMS)
    }
    table = tuple(_code(term) for term in nibble)
    table += (ZERO_TERM,) * (TABLE_ENTRIES - len(table))
    return PassPlan(
        tuple(Pass(shift, index, table) for index, shift in enumerate(shifts)),
        tuple(
            (0,) * len(shifts) if level is None else tuple(nibble[term] for term in terms[level])
            for level in book.levels
        ),
    )


def _plans(book: Codebook) -> Iterator[PassPlan]:
    """Yield plans, those with fewer nibbles for a weight first."""
    if len(book.levels) <= TABLE_ENTRIES:
        entries = book.levels + (None,) * (TABLE_ENTRIES - len(book.levels))
        passes = _nibble_passes(0, entries)
        if passes:
            yield PassPlan(passes, tuple((code,) for code in range(len(book.levels))))
    if book.bits > 1:
        yield from _split_plans(book)
    terms = _term_plan(book)
    if terms:
        yield terms


def find_plan(book: Codebook) -> PassPlan | None:
    """Return the pass plan of ``book``; None where it needs more passes than the machine has.

    It is the first of the fewest passes among: one nibble and its tables; a nibble for each of two
    digits of the code; a nibble for each term. Every plane must leave a nibble that means zero for
    the lanes that are not used: 16 levels without a zero take two planes.
    """
    found: PassPlan | None = None
    for plan in _plans(book):
        if len(plan.passes) > MAX_PASSES or not all(plan.zeros(n) for n in range(plan.planes)):
            continue
        if found is None or len(plan.passes) < len(found.passes):
            found = plan
    return found
