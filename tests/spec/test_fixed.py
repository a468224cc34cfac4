# SPDX-License-Identifier: Apache-2.0
"""Formats and rounding."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tritone.spec.fixed import (
    BETA,
    BIAS,
    FINE_STREAM,
    GAIN_FRACTION,
    LOGIT,
    MULTIPLIER,
    OFFSET,
    SHORTCUT_SHIFT_MAX,
    STREAM,
    STREAMS,
    SUM,
    VALUE,
    FixedFormat,
    StreamFormat,
    half,
)


@given(st.integers(-(2**60), 2**60), st.integers(0, 48))
def test_half_rounds_half_up(x: int, n: int) -> None:
    """(x + half(n)) >> n is floor(x / 2**n + 1/2)."""
    assert (x + half(n)) >> n == math.floor(Fraction(x, 2**n) + Fraction(1, 2) * (n > 0))


def test_half_of_no_shift_is_zero() -> None:
    """Nothing is added where nothing is dropped."""
    assert [half(n) for n in (0, 1, 2, 3)] == [0, 1, 2, 4]


def test_widths_that_files_and_gateware_rely_on() -> None:
    """Changing one of these changes what stored programs mean: raise ISA_VERSION with it."""
    formats = (STREAM, MULTIPLIER, BIAS, OFFSET, VALUE, SUM, LOGIT)
    assert [str(each) for each in formats] == ["u8", "s16", "s40", "s48", "s36", "s56", "s16"]


def test_ranges() -> None:
    """Two's complement for signed formats, from zero for others."""
    assert (STREAM.low, STREAM.high) == (0, 255)
    assert (LOGIT.low, LOGIT.high) == (-32768, 32767)
    assert str(FixedFormat(bits=12, signed=False, frac=10)) == "u12.10"


@pytest.mark.parametrize(
    ("form", "betas", "largest", "t"),
    [(STREAM, (512, 2048), 16383, 31), (FINE_STREAM, (256, 4095), 8191, 27)],
)
def test_streams(form: StreamFormat, betas: tuple[int, int], largest: int, t: int) -> None:
    """Each by its width; every product that it takes part in keeps its format, at both ends."""
    assert STREAMS[form.bits] is form
    assert (form.beta_low, form.beta_high) == betas
    assert (form.adapted_high, form.shortcut_shift_max) == (largest, t)
    low, high = (Fraction(beta, 1 << BETA.frac) for beta in betas)
    assert low == Fraction(1, 1 << form.headroom)
    assert high == min(1 << form.headroom, Fraction(BETA.high, 1 << BETA.frac))
    # M that follows beta; one more than the largest would not fit.
    assert (largest * betas[1] + 512) >> 10 <= MULTIPLIER.high
    assert (-largest * betas[1] + 512) >> 10 >= MULTIPLIER.low
    # u * G and its half are exact in float32.
    gain = ((1 << (BETA.frac + GAIN_FRACTION)) + (betas[0] >> 1)) // betas[0]
    assert form.high * gain + half(form.bits - 1 - form.headroom + GAIN_FRACTION) < 1 << 24
    # The term of a shortcut, of either sign, takes 55 bits.
    assert (form.high * -MULTIPLIER.low) << t < 1 << 54
    assert STREAM.shortcut_shift_max == SHORTCUT_SHIFT_MAX


def test_a_format_needs_bits() -> None:
    """A width of zero is refused."""
    with pytest.raises(
        ValueError, match=r"^Format width must be a positive number of bits, not 0$"
    ):
        FixedFormat(bits=0, signed=True)
