# SPDX-License-Identifier: Apache-2.0
"""What nibbles of weight memory mean, written out."""

from __future__ import annotations

from tritone.spec.array_code import CODE_LEVELS, INTEGER_CODE, POWER_CODE, TERM_CODE, ZERO_CODES
from tritone.spec.level import Level
from tritone.spec.machine import ArrayKind


def test_terms_of_two_rails() -> None:
    """{sign, odd, shift}; odd with shift 3 adds nothing."""
    even, odd = [1, 2, 4, 8], [1, 2, 4]
    half = [Level(n) for n in even] + [Level(0, n) for n in odd] + [Level(0)]
    negative = [Level(-n) for n in even] + [Level(0, -n) for n in odd] + [Level(0)]
    assert list(CODE_LEVELS[ArrayKind.POST]) == half + negative
    assert TERM_CODE.unpack(0b1110) == {"shift": 2, "odd": 1, "sign": 1}


def test_powers_of_two() -> None:
    """{sign, exponent}; exponent 7 adds nothing."""
    powers = [1, 2, 4, 8, 16, 32, 64, 0, -1, -2, -4, -8, -16, -32, -64, 0]
    assert list(CODE_LEVELS[ArrayKind.POT]) == [Level(n) for n in powers]
    assert POWER_CODE.unpack(0b1110) == {"exponent": 6, "sign": 1}


def test_integers() -> None:
    """Two's complement."""
    integers = [0, 1, 2, 3, 4, 5, 6, 7, -8, -7, -6, -5, -4, -3, -2, -1]
    assert list(CODE_LEVELS[ArrayKind.UNIFORM]) == [Level(n) for n in integers]
    assert INTEGER_CODE.unpack(0b1110) == {"weight": -2}


def test_what_adds_nothing() -> None:
    """The lowest such code."""
    assert ZERO_CODES == {ArrayKind.POST: 0b0111, ArrayKind.POT: 0b0111, ArrayKind.UNIFORM: 0}
