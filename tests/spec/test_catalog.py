# SPDX-License-Identifier: Apache-2.0
"""The levels of the named codebooks, against their closed forms."""

from __future__ import annotations

from fractions import Fraction

import pytest

from tritone.spec.catalog import CATALOG, codebook
from tritone.spec.level import Level

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


@pytest.mark.parametrize("bits", [2, 3, 4, 5, 6, 7, 8])
def test_odd_levels(bits: int) -> None:
    """EWGS: 2 i / (2**b - 1) - 1 for i = 0..2**b - 1, which is code i; no zero."""
    top = 2**bits - 1
    book = codebook(f"odd{bits}")
    expected = [2 * Fraction(i, top) - 1 for i in range(2**bits)]
    assert [exact(book.level(i), book.unit) for i in range(2**bits)] == expected
    assert not book.has_zero


@pytest.mark.parametrize(
    ("name", "magnitudes"),
    [
        ("apot3", ["1/4", "1/2", "1"]),
        ("apot4", ["0.1", "0.2", "0.3", "0.4", "0.6", "0.8", "1"]),
    ],
)
def test_apot_levels(name: str, magnitudes: list[str]) -> None:
    """The grids of the released code."""
    assert values(name) == mirrored([Fraction(each) for each in magnitudes])


def test_apot5_levels() -> None:
    """(a + b) / 0.75 with a of 0, 1/2, 1/8, 1/32 and b of 0, 1/4, 1/16, 1/64."""
    sums = [
        (Fraction(a, 32) + Fraction(b, 64)) / Fraction(3, 4)
        for a in (0, 16, 4, 1)
        for b in (0, 16, 4, 1)
    ]
    assert values("apot5") == mirrored(sums)
    assert len(values("apot5")) == 31


@pytest.mark.parametrize(("name", "bits", "factor"), [("twopost6", 3, 4), ("twopost8", 4, 16)])
def test_twopost_levels(name: str, bits: int, factor: int) -> None:
    """The level of code {high, low} is that of high times the factor plus that of low."""
    book, part = codebook(name), codebook(f"post{bits}")
    for high in range(2**bits):
        for low in range(2**bits):
            level = book.level((high << bits) + low)
            parts = exact(part.level(high), 1) * factor + exact(part.level(low), 1)
            assert exact(level, 1) == parts
    assert book.unit == part.unit * (factor + 1)


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
