# SPDX-License-Identifier: Apache-2.0
"""Levels are exact."""

from __future__ import annotations

from tritone.spec.level import Level


def test_levels_add_up_on_each_rail() -> None:
    """Sums, differences and shifts of integers and of those times sqrt 2."""
    assert Level(3, 1) + Level(-1, 4) == Level(2, 5)
    assert Level(3, 1) - Level(-1, 4) == Level(4, -3)
    assert Level(3, -1) << 4 == Level(48, -16)


def test_sqrt_2_is_181_over_128() -> None:
    """128 times the value is an integer."""
    assert Level(3, -2).scaled == 3 * 128 - 2 * 181
