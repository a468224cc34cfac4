# SPDX-License-Identifier: Apache-2.0
"""Small floating-point numbers against numpy's products."""

from __future__ import annotations

from products_by_definition import check_array

from tritone_hw.comparison.arrays import ARRAYS

# OCP Microscaling Formats 1.0, 5.3.3, in halves.
HALVES = (0, 1, 2, 3, 4, 6, 8, 12)


def test_minifloats() -> None:
    """Sign and magnitude; an inverted activation is 15 less it."""

    def weight(code: int) -> tuple[int, int]:
        sign, magnitude = code >> 3, HALVES[code & 7]
        return (-1) ** sign * magnitude, sign * 15 * magnitude

    check_array(ARRAYS["fp4-plane"], weight, nought=0)
