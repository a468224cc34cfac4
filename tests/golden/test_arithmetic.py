# SPDX-License-Identifier: Apache-2.0
"""Rounding, clamping and wrapping against exact fractions."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tritone.golden.arithmetic import clamp, multiply_add, round_shift, wrap
from tritone.spec.fixed import STREAM, VALUE, FixedFormat

INT64 = st.integers(-(1 << 62), (1 << 62) - 1)


@given(st.integers(), st.integers(0, 60))
def test_round_shift_is_the_nearest_integer_ties_up(value: int, shift: int) -> None:
    """round_shift(x, n) = floor(x / 2**n + 1/2)."""
    assert round_shift(value, shift) == math.floor(Fraction(value, 1 << shift) + Fraction(1, 2))


@given(st.lists(INT64, min_size=1), st.integers(0, 60))
def test_arrays_round_as_integers_do(values: list[int], shift: int) -> None:
    """An array is rounded element by element."""
    result = round_shift(np.array(values, np.int64), shift)
    assert result.tolist() == [round_shift(value, shift) for value in values]


@given(st.integers(), st.integers(1, 40), st.booleans())
def test_wrap_is_congruent_and_in_range(value: int, bits: int, signed: bool) -> None:
    """wrap(x) is the number in the format's range that is congruent to x modulo 2**bits."""
    form = FixedFormat(bits=bits, signed=signed)
    wrapped = wrap(value, form)
    assert form.low <= wrapped <= form.high
    assert (wrapped - value) % (1 << bits) == 0


def test_wrap_of_an_array() -> None:
    """The 36-bit values turn over at 2**35."""
    top = 1 << 35
    values = np.array([top - 1, top, -top, -top - 1, 2 * top], np.int64)
    assert wrap(values, VALUE).tolist() == [top - 1, -top, -top, top - 1, 0]


@given(st.lists(st.integers(-600, 600), min_size=1), st.integers(-300, 0), st.integers(0, 300))
def test_clamp_returns_the_middle_of_three(values: list[int], low: int, high: int) -> None:
    """A clamp is the median of the value and the bounds."""
    expected = [sorted((low, value, high))[1] for value in values]
    assert clamp(np.array(values, np.int64), low, high).tolist() == expected
    assert [clamp(value, low, high) for value in values] == expected


@given(INT64, st.integers(-(1 << 15), (1 << 15) - 1), INT64)
def test_multiply_add_is_exact_or_refuses(value: int, factor: int, addend: int) -> None:
    """The result is that of unbounded integers, or OverflowError if it might leave 64 bits."""
    arrays = [np.array([number], np.int64) for number in (value, factor, addend)]
    if abs(value) * abs(factor) + abs(addend) < 1 << 63:
        assert multiply_add(*arrays).tolist() == [value * factor + addend]
    else:
        with pytest.raises(OverflowError, match=r"^Result must fit 64 bits, not -\d+\.\.\d+$"):
            multiply_add(*arrays)


def test_narrow_arrays_are_refused() -> None:
    """An int16 array would overflow silently."""
    with pytest.raises(TypeError, match=r"^Array must be of int64, not int16$"):
        round_shift(np.zeros(2, np.int16), 1)
    with pytest.raises(TypeError, match=r"^Value must be an int or an int64 array, not 1\.5$"):
        wrap(1.5, STREAM)


def test_bad_arguments_are_refused() -> None:
    """Shifts count places, clamps have an order, and rounding must not overflow."""
    with pytest.raises(ValueError, match=r"^Shift must not be negative, not -1$"):
        round_shift(1, -1)
    with pytest.raises(ValueError, match=r"^Clamp must have low <= high, not 3\.\.2$"):
        clamp(0, 3, 2)
    with pytest.raises(OverflowError, match=r"^Result must fit 64 bits, not \d+\.\.\d+$"):
        round_shift(np.array([(1 << 63) - 1], np.int64), 4)
