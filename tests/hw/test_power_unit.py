# SPDX-License-Identifier: Apache-2.0
"""Powers of two against numpy's products."""

from __future__ import annotations

from dataclasses import replace

import pytest
from products_by_definition import check_array

from tritone_hw.comparison.arrays import ARRAYS


@pytest.mark.parametrize("even_bits", [23, 14])
def test_seven_magnitudes(even_bits: int) -> None:
    """Code {sign, exponent}; 7 is 0. Negative terms are inverted in 10 bits; sums wrap."""

    def weight(code: int) -> tuple[int, int]:
        sign, exponent = code >> 3, code & 7
        return (0, 0) if exponent == 7 else ((-1) ** sign * 2**exponent, sign * 1023)

    check_array(replace(ARRAYS["pot"], even_bits=even_bits), weight, nought=7)
