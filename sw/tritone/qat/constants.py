# SPDX-License-Identifier: Apache-2.0
"""Integers of a frozen layer from real numbers: M, D and S, or k; K and t; what codes count."""

from __future__ import annotations

import math
from fractions import Fraction

import torch
from torch import Tensor

from tritone.spec.codebook import Codebook
from tritone.spec.fixed import (
    HALF_OCTAVES_LOW,
    MULTIPLIER,
    OFFSET,
    SHIFT_MAX,
    SHORTCUT_SHIFT_MAX,
    SQRT2_FRACTION,
    SQRT2_NUMERATOR,
    VALUE,
    FixedFormat,
    half,
)
from tritone.spec.level import Level

__all__ = [
    "negated_codes",
    "octave_constants",
    "requantizer_constants",
    "scaled_levels",
    "shortcut_constants",
    "shortcut_octaves",
]


def requantizer_constants(
    name: str, gain: Tensor, bias: Tensor, zero: int, largest: int = MULTIPLIER.high
) -> tuple[Tensor, Tensor, int]:
    """Return M, D (int64) and S of ``y = gain * v + bias + zero``, rounded half up.

    S is the largest for which both fit: a layer of small weights and a large bias, like the last
    one of an adapter, is bounded by D.

    Parameters
    ----------
    name : of the layer, for messages.
    gain : codes per unit of v, for each channel, float64.
    bias : codes, for each channel, float64.
    zero : z of the output.
    largest : magnitude of M.
    """
    for shift in range(SHIFT_MAX, -1, -1):
        multiplier = _round(gain * 2.0**shift)
        offset = _round((bias + zero) * 2.0**shift) + half(shift)
        if multiplier.abs().max() <= largest and _fits(offset, OFFSET):
            break
    for label, values, fixed in (("M", multiplier, MULTIPLIER), ("D", offset, OFFSET)):
        _require_format(name, label, values, fixed)
    return multiplier.long(), offset.long(), shift


def _fits(values: Tensor, fixed: FixedFormat) -> bool:
    return bool(((values >= fixed.low) & (values <= fixed.high)).all())


def _require_format(name: str, label: str, values: Tensor, fixed: FixedFormat) -> None:
    if not _fits(values, fixed):
        raise ValueError(
            f"Layer {name} must have {label} in {fixed.bits} signed bits, "
            f"not {float(values.abs().max()):.3g}"
        )


def octave_constants(name: str, gain: Tensor, bias: Tensor, zero: int) -> tuple[Tensor, Tensor]:
    """Return k and D (int64) of ``y = 2**(-k/2) * v + bias + zero``, rounded half up.

    k is that of the half octave nearest to each magnitude of ``gain``, at most 76: v has 36 bits,
    so what is scaled by less is less than a quarter of a code, whatever k is.

    Parameters
    ----------
    name : of the layer, for messages.
    gain : codes per unit of v, for each channel, float64.
    bias : codes, for each channel, float64.
    zero : z of the output.
    """
    most = 2 * (VALUE.bits + 2)
    octaves = torch.where(gain == 0, most, -2 * torch.log2(gain.abs()))
    k = _round(octaves).clamp(max=most).long()
    if int(k.min()) < HALF_OCTAVES_LOW:
        raise ValueError(
            f"Layer {name} must be scaled by at most sqrt 2 without multipliers, "
            f"not {float(gain.abs().max()):.3g}"
        )
    halves = torch.tensor([half(int(shift)) for shift in (k + 1) >> 1], device=k.device)
    offset = _round((bias + zero) * torch.exp2(((k + 1) >> 1).double())) + halves
    _require_format(name, "D", offset, OFFSET)
    return k, offset.long()


def shortcut_octaves(name: str, ratio: float) -> int:
    """Return t of ``(k - z_k) * ratio``, a power of two, added to a sum without multipliers.

    Parameters
    ----------
    name : of the layer, for messages.
    ratio : step of the shortcut tensor over that of the result.
    """
    mantissa, exponent = math.frexp(ratio)
    if mantissa != 0.5:
        raise ValueError(
            f"Layer {name} must add a shortcut of a power of two of its own steps without "
            f"multipliers, not {ratio:.3g}"
        )
    return exponent - 1


def shortcut_constants(
    name: str, ratio: float, shift: int, most: int = SHORTCUT_SHIFT_MAX
) -> tuple[int, int]:
    """Return K and t of ``(k - z_k) * ratio`` added to a sum that is shifted by ``shift``.

    t is the smallest for which K = round(ratio * 2**(shift - t)) fits.

    Parameters
    ----------
    name : of the layer, for messages.
    ratio : step of the shortcut tensor over that of the result.
    most : the largest t.
    """
    exact = Fraction(ratio) * (1 << shift)
    for t in range(most + 1):
        multiplier = math.floor(exact / (1 << t) + Fraction(1, 2))
        if multiplier <= MULTIPLIER.high:
            return multiplier, t
    raise ValueError(
        f"Layer {name} must add a shortcut of at most "
        f"{MULTIPLIER.high << most >> shift} of its own steps, not {ratio:.3g}"
    )


def _round(value: Tensor) -> Tensor:
    """Return ``value`` rounded half up, still float64: integers below 2**53 are exact."""
    return torch.floor(value + 0.5)


def scaled_levels(book: Codebook, turned: Tensor) -> Tensor:
    """Return 128 times the level of each code (channel, code), 0 for codes that are not used.

    In channels that are ``turned`` it is sqrt 2 times that: ``sqrt 2 (e + o sqrt 2) = 2 o + e sqrt
    2``.
    """
    levels = [level or Level(0) for level in book.levels]
    even, odd = (torch.tensor([getattr(n, rail) for n in levels]) for rail in ("even", "odd"))
    one, root = 1 << SQRT2_FRACTION, SQRT2_NUMERATOR
    both = torch.stack([one * even + root * odd, 2 * one * odd + root * even])
    return both.to(turned.device)[turned]


def negated_codes(book: Codebook) -> Tensor:
    """Return for each code that of the negative level; codes that are not used stay."""
    codes = {level: code for code, level in reversed(list(enumerate(book.levels))) if level}
    negative = [
        code if level is None else codes[Level(-level.even, -level.odd)]
        for code, level in enumerate(book.levels)
    ]
    return torch.tensor(negative, dtype=torch.uint8)
