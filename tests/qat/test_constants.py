# SPDX-License-Identifier: Apache-2.0
"""Integers from real numbers, against their definitions in fractions."""

from __future__ import annotations

from fractions import Fraction
from math import floor

import pytest
import torch

from tritone.qat.constants import (
    octave_constants,
    requantizer_constants,
    shortcut_constants,
    shortcut_octaves,
)


def rounded(value: Fraction) -> int:
    return floor(value + Fraction(1, 2))


@pytest.mark.parametrize("largest", [1e-9, 3.1e-5, 0.0017, 0.25, 0.9999847, 1.0, 3.0, 32767.4])
def test_constants_follow_the_definition(largest: float) -> None:
    """S is the largest in 0..40 for which M and D fit; they are rounded half up, exactly."""
    gain = [largest, -largest / 3, largest / 1000, 0.0]
    bias = [0.3, -17.25, 0.0, 90.125]
    zero = 128
    multiplier, offset, shift = requantizer_constants(
        "layer", torch.tensor(gain).double(), torch.tensor(bias).double(), zero
    )
    exact = [Fraction(float(x)) for x in torch.tensor(gain).double()]

    exact_bias = [Fraction(float(x)) for x in torch.tensor(bias).double()]

    def offsets(s: int) -> list[int]:
        return [rounded((b + zero) * 2**s) + ((1 << s) >> 1) for b in exact_bias]

    def fits(s: int) -> bool:
        small = all(abs(rounded(m * 2**s)) < 2**15 for m in exact)
        return small and all(-(2**47) <= d < 2**47 for d in offsets(s))

    assert fits(shift)
    assert shift == 40 or not fits(shift + 1)
    assert multiplier.tolist() == [rounded(m * 2**shift) for m in exact]
    assert offset.tolist() == offsets(shift)


@pytest.mark.parametrize(
    ("gain", "bias", "message"),
    [
        (40000.0, 0.0, r"^Layer big must have M in 16 signed bits, not 4e\+04$"),
        (1e-12, 2.2e14, r"^Layer big must have D in 48 signed bits, not 2\.2e\+14$"),
    ],
)
def test_refuses_constants_that_do_not_fit(gain: float, bias: float, message: str) -> None:
    """The layer and the figure are named."""
    with pytest.raises(ValueError, match=message):
        requantizer_constants(
            "big", torch.tensor([gain]).double(), torch.tensor([bias]).double(), 0
        )


@pytest.mark.parametrize("shift", [0, 1, 14, 15, 16, 24, 40])
@pytest.mark.parametrize("ratio", [1e-7, 0.013, 0.5, 1.0, 1.99997, 31.9])
def test_shortcut_constants_follow_the_definition(ratio: float, shift: int) -> None:
    """K = round(ratio * 2**(S - t)) with the smallest t for which it has 16 signed bits."""
    multiplier, t = shortcut_constants("layer", ratio, shift)

    def factor(t: int) -> int:
        return rounded(Fraction(ratio) * Fraction(2) ** (shift - t))

    assert multiplier == factor(t) < 2**15
    assert t == 0 or factor(t - 1) >= 2**15


def test_refuses_a_shortcut_that_does_not_fit() -> None:
    """At S = 40 a shortcut may be 64 steps at most."""
    message = r"^Layer big must add a shortcut of at most 63 of its own steps, not 64$"
    with pytest.raises(ValueError, match=message):
        shortcut_constants("big", 64.0, 40)


def test_octave_constants_follow_the_definition() -> None:
    """k is the nearest half octave, D counts in 2**-S of the channel, rounded half up."""
    gain = [2.0**0.5, -(2.0**-7), 2.0**-7.24, 2.0**-7.26, 2.0**-20.5, 1e-30, 0.0]
    bias = [0.3, -17.25, 0.0, 90.125, -3.7, 1.5, 2.5]
    k, offset = octave_constants(
        "layer", torch.tensor(gain).double(), torch.tensor(bias).double(), 128
    )
    assert k.tolist() == [-1, 14, 14, 15, 41, 76, 76]
    for each, real, found in zip(k.tolist(), bias, offset.tolist(), strict=True):
        shift = (each + 1) // 2
        exact = (Fraction(real) + 128) * 2**shift
        assert found == rounded(exact) + ((1 << shift) >> 1)


def test_refuses_octaves_that_do_not_fit() -> None:
    """Scales above sqrt 2, and offsets of more than 48 bits."""
    message = r"^Layer big must be scaled by at most sqrt 2 without multipliers, not 1\.7$"
    with pytest.raises(ValueError, match=message):
        octave_constants("big", torch.tensor([1.7]).double(), torch.zeros(1).double(), 0)
    message = r"^Layer big must have D in 48 signed bits, not 2\.75e\+14$"
    with pytest.raises(ValueError, match=message):
        octave_constants("big", torch.zeros(1).double(), torch.full((1,), 1e3).double(), 0)


def test_shortcut_octaves() -> None:
    """Powers of two, exactly."""
    assert [shortcut_octaves("layer", 2.0**n) for n in range(-9, 9)] == list(range(-9, 9))
    message = (
        r"^Layer big must add a shortcut of a power of two of its own steps without multipliers, "
        r"not 1\.01$"
    )
    with pytest.raises(ValueError, match=message):
        shortcut_octaves("big", 1.01)
