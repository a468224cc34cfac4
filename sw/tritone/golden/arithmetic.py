# SPDX-License-Identifier: Apache-2.0
"""Rounding, clamping and wrapping, by name: all that the models of the machine share."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import numpy.typing as npt

from tritone.spec.fixed import FixedFormat, half

__all__ = ["Integers", "clamp", "multiply_add", "round_shift", "wrap"]

Integers = npt.NDArray[np.int64]
Value = TypeVar("Value", int, Integers)

_INT64 = FixedFormat(bits=64, signed=True)


def _extremes(value: int | Integers) -> tuple[int, int]:
    """Return the smallest and the largest element as Python integers.

    Raises
    ------
    TypeError : neither an int nor an int64 array; narrower arrays would overflow silently.
    """
    if isinstance(value, np.ndarray):
        if value.dtype != np.int64:
            raise TypeError(f"Array must be of int64, not {value.dtype}")
        return (int(value.min()), int(value.max())) if value.size else (0, 0)
    if not isinstance(value, int):
        raise TypeError(f"Value must be an int or an int64 array, not {value!r}")
    return value, value


def _require_int64(low: int, high: int) -> None:
    if low < _INT64.low or high > _INT64.high:
        raise OverflowError(f"Result must fit 64 bits, not {low}..{high}")


def round_shift(value: Value, shift: int) -> Value:
    """Return ``value / 2**shift`` rounded half up: ``(value + half(shift)) >> shift``.

    Raises
    ------
    OverflowError : the sum of an array element and the rounding constant does not fit int64.
    """
    if shift < 0:
        raise ValueError(f"Shift must not be negative, not {shift}")
    low, high = _extremes(value)
    if isinstance(value, np.ndarray):
        _require_int64(low, high + half(shift))
    return (value + half(shift)) >> shift


def clamp(value: Value, low: int, high: int) -> Value:
    """Return ``value``, or the bound it exceeds."""
    if low > high:
        raise ValueError(f"Clamp must have low <= high, not {low}..{high}")
    _extremes(value)
    if isinstance(value, np.ndarray):
        return np.clip(value, low, high)
    return min(max(value, low), high)


def wrap(value: Value, form: FixedFormat) -> Value:
    """Return ``value`` modulo ``2**form.bits``, as the number in the range of ``form``."""
    _extremes(value)
    offset = -form.low
    mask = (1 << form.bits) - 1
    return ((value + offset) & mask) - offset


def multiply_add(value: Integers, factor: Integers, addend: Integers) -> Integers:
    """Return ``value * factor + addend``, exactly; the arrays are broadcast.

    Raises
    ------
    OverflowError : a product or sum might not fit int64, judged by the largest magnitudes.
    """
    largest = [max(abs(bound) for bound in _extremes(each)) for each in (value, factor, addend)]
    bound = largest[0] * largest[1] + largest[2]
    _require_int64(-bound, bound)
    return value * factor + addend
