# SPDX-License-Identifier: Apache-2.0
"""Powers of two against numpy's products."""

from __future__ import annotations

from products_by_definition import check_array


def test_seven_magnitudes() -> None:
    """Code {sign, exponent}; 7 is 0. Negative terms are inverted in 10 bits."""

    def weight(code: int) -> tuple[int, int]:
        sign, exponent = code >> 3, code & 7
        return (0, 0) if exponent == 7 else ((-1) ** sign * 2**exponent, sign * 1023)

    check_array("pot", weight, nought=7)
