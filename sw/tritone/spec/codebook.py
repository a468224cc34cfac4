# SPDX-License-Identifier: Apache-2.0
"""Codebooks: exact weight levels, and the passes through the array that give them.

A level is ``(even + odd * sqrt 2) / unit`` with integers even and odd: the two rails of the array.
In one pass a lane of the array contributes one term: nothing, ``+-2**shift`` on the even rail
(shift 0..3) or ``+-2**shift`` on the odd rail (shift 0..2). A pass plan lists the passes whose
terms, each scaled by ``2**pass shift``, sum to every level of a codebook; it is derived from the
levels by search, never declared.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from itertools import combinations_with_replacement

from tritone.spec.fixed import SQRT2, SQRT2_FRACTION, SQRT2_NUMERATOR
from tritone.spec.record import Field, Record

__all__ = [
    "ARRAY_CONTROL",
    "MAX_PASSES",
    "PASS_SHIFTS",
    "TABLE_ENTRIES",
    "Codebook",
    "Level",
    "Pass",
    "PassPlan",
    "Term",
    "derive_plan",
]

TABLE_ENTRIES = 16
MAX_PASSES = 4
PASS_SHIFTS = (0, 4, 8)

ARRAY_CONTROL = Record(
    "array_control",
    5,
    "What a lane of the array does with an activation; neither rail means zero.",
    (
        Field("shift", 2, "left shift of the activation; at most 2 on the odd rail"),
        Field("odd", 1, "adds to the odd rail, whose unit is sqrt 2"),
        Field("even", 1, "adds to the even rail"),
        Field("sign", 1, "negative"),
    ),
)


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
    def control(self) -> int:
        """The ARRAY_CONTROL word of the term."""
        return ARRAY_CONTROL.pack(
            {"shift": self.shift, "odd": self.odd, "even": not self.odd, "sign": self.sign < 0}
        )


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

    Parameters
    ----------
    shift : the pass counts ``2**shift`` times.
    plane : which nibble of the stored weight it reads.
    table : ARRAY_CONTROL word for each of the 16 nibbles.
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

    @cached_property
    def idle(self) -> tuple[int, ...]:
        """For each plane the nibble that is zero in every pass: what unused lanes hold."""
        rails = 0b01100  # ARRAY_CONTROL's even and odd
        found = []
        for plane in range(self.planes):
            tables = [each.table for each in self.passes if each.plane == plane]
            free = [
                n for n in range(TABLE_ENTRIES) if not any(table[n] & rails for table in tables)
            ]
            if not free:
                raise ValueError(
                    f"Plane {plane} of the pass plan must leave a nibble that means zero"
                )
            found.append(free[0])
        return tuple(found)


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
    def plan(self) -> PassPlan:
        """The derived pass plan."""
        return derive_plan(self)


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


def _control(term: Term | None) -> int:
    return 0 if term is None else term.control


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
            tuple(0 if level is None else _control(terms[level][index]) for level in entries),
        )
        for index, shift in enumerate(shifts)
    )


def _split_plan(book: Codebook) -> PassPlan | None:
    """Return a plan with a plane for each nibble of the code, if levels are sums over nibbles."""
    codes = range(len(book.levels))
    low: list[Level | None] = [None] * TABLE_ENTRIES
    high: list[Level | None] = [None] * TABLE_ENTRIES
    for code in codes:  # the nibble alone, where the other one is zero
        if code < TABLE_ENTRIES:
            low[code] = book.levels[code]
        if code % TABLE_ENTRIES == 0:
            high[code // TABLE_ENTRIES] = book.levels[code]
    for code in codes:
        level, a, b = book.levels[code], low[code % TABLE_ENTRIES], high[code // TABLE_ENTRIES]
        if level is not None and (a is None or b is None or a + b != level):
            return None
    first, second = _nibble_passes(0, tuple(low)), _nibble_passes(1, tuple(high))
    if first is None or second is None or len(first) + len(second) > MAX_PASSES:
        return None
    return PassPlan(
        first + second, tuple((code % TABLE_ENTRIES, code // TABLE_ENTRIES) for code in codes)
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
    table = tuple(_control(term) for term in nibble)
    table += (0,) * (TABLE_ENTRIES - len(table))
    return PassPlan(
        tuple(Pass(shift, index, table) for index, shift in enumerate(shifts)),
        tuple(
            (0,) * len(shifts) if level is None else tuple(nibble[term] for term in terms[level])
            for level in book.levels
        ),
    )


def derive_plan(book: Codebook) -> PassPlan:
    """Return the pass plan of ``book``.

    One nibble and its tables where 16 entries do, else a nibble for each digit of the code, else a
    nibble for each term.

    Raises
    ------
    ValueError : more than 4 passes would be needed.
    """
    if len(book.levels) <= TABLE_ENTRIES:
        entries = book.levels + (None,) * (TABLE_ENTRIES - len(book.levels))
        passes = _nibble_passes(0, entries)
        plan = passes and PassPlan(passes, tuple((code,) for code in range(len(book.levels))))
    else:
        plan = _split_plan(book) or _term_plan(book)
    if not plan:
        raise ValueError(
            f"Codebook {book.name} must need at most {MAX_PASSES} passes; it needs more"
        )
    return plan
