# SPDX-License-Identifier: Apache-2.0
"""Exact weight levels."""

from __future__ import annotations

from dataclasses import dataclass

from tritone.spec.fixed import SQRT2_FRACTION, SQRT2_NUMERATOR

__all__ = ["Level"]


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

    def __lshift__(self, places: int) -> Level:
        return Level(self.even << places, self.odd << places)
