# SPDX-License-Identifier: Apache-2.0
"""Bit planes against numpy's products of integers."""

from __future__ import annotations

from dataclasses import replace

import pytest
from products_by_definition import check_array

from tritone_hw.comparison.arrays import ARRAYS


@pytest.mark.parametrize("even_bits", [20, 12])
def test_integers(even_bits: int) -> None:
    """Two's complement. A step has 8 times 127 too much: 15 * 8 has 7 bits. Sums wrap."""
    array = replace(ARRAYS["uniform-plane"], even_bits=even_bits)
    check_array(array, lambda code: (code - 16 * (code >> 3), 0), 0, of_step=8 * 127)
