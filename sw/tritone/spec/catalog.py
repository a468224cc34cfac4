# SPDX-License-Identifier: Apache-2.0
"""The codebooks that have a name."""

from __future__ import annotations

from itertools import product

from tritone.spec.codebook import Codebook
from tritone.spec.fixed import NIBBLE_BITS
from tritone.spec.level import Level

__all__ = ["CATALOG", "codebook"]


def _signed(magnitudes: list[Level]) -> tuple[Level, ...]:
    """Return the levels of a code whose top bit is the sign."""
    return tuple(magnitudes) + tuple(Level(-level.even, -level.odd) for level in magnitudes)


def _post(bits: int) -> Codebook:
    """Powers of sqrt(2): code {sign, odd, shift}; odd with the largest shift is zero.

    Magnitudes are 2**(-k/2), k = 0..2**(bits-1)-2 (ASQ and POST, arXiv 2504.17263; the released
    code of the paper has powers of two instead).
    """
    shifts = 1 << (bits - 2)
    even = [Level(1 << shift) for shift in range(shifts)]
    odd = [Level(0, 1 << shift) for shift in range(shifts - 1)]
    return Codebook(f"post{bits}", bits, _signed([*even, *odd, Level(0)]), 1 << (shifts - 1))


def _pot(bits: int) -> Codebook:
    """Powers of two: code {sign, shift}; the largest shift is zero."""
    count = (1 << (bits - 1)) - 1
    magnitudes = [Level(1 << shift) for shift in range(count)]
    return Codebook(f"pot{bits}", bits, _signed([*magnitudes, Level(0)]), 1 << (count - 1))


def _uniform(bits: int) -> Codebook:
    """Symmetric integers in two's complement; the most negative code is not used."""
    top = (1 << (bits - 1)) - 1
    levels: list[Level | None] = [Level(value) for value in (*range(top + 1), *range(-top - 1, 0))]
    levels[top + 1] = None
    return Codebook(f"int{bits}", bits, tuple(levels), top)


def _nibble_integer() -> Codebook:
    """Integers -119..119 as two signed nibbles, 16 * high + low: two table passes for each nibble.

    The range ends at 7 * 16 + 7, the largest value that has its negative too; int8 therefore means
    239 levels here.
    """
    top = 7 * 16 + 7
    levels: list[Level | None] = []
    for code in range(1 << 8):
        high, low = code >> 4, code & 15
        value = 16 * (high - 16 if high >= 8 else high) + (low - 16 if low >= 8 else low)
        levels.append(Level(value) if abs(value) <= top else None)
    return Codebook("int8", 8, tuple(levels), top)


def _odd(bits: int) -> Codebook:
    """Odd integers, without zero: code i is 2 i - (2**bits - 1) (EWGS, arXiv 2104.00903)."""
    top = (1 << bits) - 1
    return Codebook(
        f"odd{bits}", bits, tuple(Level(2 * code - top) for code in range(1 << bits)), top
    )


def _apot(bits: int) -> Codebook:
    """Additive powers of two (Li et al., arXiv 1909.13144): code {sign, index of the magnitude}.

    A magnitude is a sum of one element of each set, over the largest one.
    """
    sets = {
        3: ((0, 1, 2, 4),),
        4: ((0, 1, 4, 8), (0, 2)),
        5: ((0, 2, 8, 32), (0, 1, 4, 16)),
    }[bits]
    magnitudes = sorted({sum(each) for each in product(*sets)})
    return Codebook(f"apot{bits}", bits, _signed([Level(n) for n in magnitudes]), magnitudes[-1])


def _twopost(bits: int, shift: int) -> Codebook:
    """Sums of two POST levels of half the width, the upper one ``2**shift`` times.

    Two passes give what integers take four for: code {upper POST code, lower POST code}.
    """
    part = _post(bits // 2).levels
    assert all(level is not None for level in part)
    levels = tuple(
        Level((high.even << shift) + low.even, (high.odd << shift) + low.odd)
        for high in part
        for low in part
        if high is not None and low is not None
    )
    return Codebook(f"twopost{bits}", bits, levels, max(level.even for level in levels))


# Two's complement like every integer codebook here, though the sign alone would do.
_BINARY = Codebook("binary", 1, (Level(1), Level(-1)), 1)
_TERNARY = Codebook("ternary", 2, (Level(0), Level(1), None, Level(-1)), 1)
# OCP Microscaling Formats 1.0, 5.3.3: code {sign, exponent[1:0], mantissa}; in units of 1/2.
_FP4 = Codebook("fp4_e2m1", 4, _signed([Level(value) for value in (0, 1, 2, 3, 4, 6, 8, 12)]), 12)

CATALOG: dict[str, Codebook] = {
    book.name: book
    for book in (
        *(_post(bits) for bits in (2, 3, 4, 5)),
        *(_pot(bits) for bits in (3, 4)),
        *(_uniform(bits) for bits in (2, 3, 4, 5, 6, 7)),
        _nibble_integer(),
        _BINARY,
        _TERNARY,
        _FP4,
        *(_odd(bits) for bits in (2, 3, 4, 5, 6, 7, 8)),
        *(_apot(bits) for bits in (3, 4, 5)),
        _twopost(6, 2),
        _twopost(8, NIBBLE_BITS),
    )
}


def codebook(name: str) -> Codebook:
    """Return the codebook of that name."""
    if name not in CATALOG:
        raise ValueError(f"Codebook must be one of {', '.join(CATALOG)}, not {name!r}")
    return CATALOG[name]
