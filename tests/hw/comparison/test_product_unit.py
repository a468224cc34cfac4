# SPDX-License-Identifier: Apache-2.0
"""Products against numpy's."""

from __future__ import annotations

from products_by_definition import check_array

from tritone_hw.comparison.arrays import ARRAYS


def test_products() -> None:
    """Weights in two's complement, no constants."""
    check_array(ARRAYS["uniform-product"], lambda code: (code - 16 * (code >> 3), 0), nought=0)
