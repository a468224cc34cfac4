# SPDX-License-Identifier: Apache-2.0
"""The levels of the named codebooks, against their closed forms."""

from __future__ import annotations

from fractions import Fraction

import pytest

from tritone.spec.catalog import CATALOG, codebook
from tritone.spec.codebook import Level

SQRT2 = Fraction(181, 128)  # by definition of the project


def exact(level: Level, unit: int) -> Fraction:
    """Return the value of a level for alpha = 1."""
    return (level.even + level.odd * SQRT2) / unit


def values(name: str) -> list[Fraction]:
    """Return the sorted values of all codes in use, each once."""
    book = codebook(name)
    return sorted({exact(level, book.unit) for level in book.levels if level is not None})


def mirrored(magnitudes: list[Fraction]) -> list[Fraction]:
    """Return the magnitudes, their negatives and zero, sorted."""
    return sorted({sign * each for each in magnitudes for sign in (1, -1)} | {Fraction(0)})


@pytest.mark.parametrize("bits", [2, 3, 4, 5])
def test_post_levels(bits: int) -> None:
    """POST of b bits: zero and +-2**(-k/2), k = 0..2**(b-1)-2."""
    magnitudes = [
        Fraction(1, 2 ** (k // 2)) if k % 2 == 0 else SQRT2 / 2 ** ((k + 1) // 2)
        for k in range(2 ** (bits - 1) - 1)
    ]
    assert len(values(f"post{bits}")) == 2**bits - 1
    assert values(f"post{bits}") == mirrored(magnitudes)


@pytest.mark.parametrize("bits", [3, 4])
def test_pot_levels(bits: int) -> None:
    """PoT of b bits: zero and +-2**-k, k = 0..2**(b-1)-2."""
    assert values(f"pot{bits}") == mirrored([Fraction(1, 2**k) for k in range(2 ** (bits - 1) - 1)])


@pytest.mark.parametrize("bits", [2, 3, 4, 5, 6, 7])
def test_integer_levels(bits: int) -> None:
    """Uniform of b bits: all n / (2**(b-1) - 1), coded in two's complement."""
    top = 2 ** (bits - 1) - 1
    book = codebook(f"int{bits}")
    assert values(book.name) == [Fraction(n, top) for n in range(-top, top + 1)]
    for n in range(-top, top + 1):
        assert book.level(n % 2**bits) == Level(n)


def test_int8_levels() -> None:
    """int8 is 16 * high + low of two signed nibbles, limited to -119..119."""
    book = codebook("int8")
    assert values("int8") == [Fraction(n, 119) for n in range(-119, 120)]
    assert book.level(0x7F - 0x08) == Level(7 * 16 + 7)
    assert book.level(0x1F) == Level(16 - 1)
    assert book.level(0xF1) == Level(-16 + 1)
    assert book.levels[0x88] is None


def test_binary_ternary_and_fp4_levels() -> None:
    """Binary +-1; ternary 0, +-1; FP4 E2M1 0, 0.5, 1, 1.5, 2, 3, 4, 6 over 6."""
    assert values("binary") == [Fraction(-1), Fraction(1)]
    assert values("ternary") == [Fraction(-1), Fraction(0), Fraction(1)]
    fp4 = [
        # {exponent, mantissa}: subnormal 0 and 0.5, then (1 + m/2) * 2**(e - 1)
        Fraction(m, 2) if e == 0 else (1 + Fraction(m, 2)) * 2 ** (e - 1)
        for e in range(4)
        for m in range(2)
    ]
    assert values("fp4_e2m1") == mirrored([each / 6 for each in fp4])
    book = codebook("fp4_e2m1")
    for code in range(16):
        sign = -1 if code >> 3 else 1
        assert exact(book.level(code), book.unit) == sign * fp4[code & 7] / 6


def test_post4_codes_are_sign_odd_shift() -> None:
    """The POST4 code is {sign, odd, shift}; odd with shift 3 is zero."""
    book = codebook("post4")
    for code in range(16):
        sign = -1 if code >> 3 else 1
        odd, shift = code >> 2 & 1, code & 3
        magnitude = Fraction(2**shift) * (SQRT2 if odd else 1) / 8
        if odd and shift == 3:
            magnitude = Fraction(0)
        assert exact(book.level(code), book.unit) == sign * magnitude


@pytest.mark.parametrize("name", CATALOG)
def test_values_are_symmetric_and_end_at_one(name: str) -> None:
    """Every codebook has the negative of each level, and 1 is the largest."""
    assert values(name) == [-each for each in reversed(values(name))]
    assert values(name)[-1] == 1


@pytest.mark.parametrize("name", CATALOG)
def test_value_and_scaled_agree_with_the_exact_level(name: str) -> None:
    """The float that training sees and the integer of the machine are the same number."""
    book = codebook(name)
    for code in book.codes:
        level = book.level(code)
        assert Fraction(level.scaled, 128) == exact(level, 1)
        assert book.value(code) == float(exact(level, book.unit))


def test_unknown_names_are_refused() -> None:
    """A wrong name gets the list of the right ones."""
    with pytest.raises(ValueError, match=r"^Codebook must be one of post2, .*, not 'post9'$"):
        codebook("post9")
