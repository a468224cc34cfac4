# SPDX-License-Identifier: Apache-2.0
"""The arrays that are compared."""

from __future__ import annotations

import pytest
from products_by_definition import check_array

from tritone.spec.catalog import CATALOG
from tritone_hw.comparison.arrays import ARRAYS


def test_the_rail_of_powers_of_two() -> None:
    """Term codes {sign, odd, shift}, of which the odd ones add nothing; inverted in 7 bits."""

    def weight(code: int) -> tuple[int, int]:
        sign, odd, shift = code >> 3, code >> 2 & 1, code & 3
        return (0, 0) if odd else ((-1) ** sign * 2**shift, sign * 127)

    check_array("pot-2-pass", weight, nought=7)


def test_weights_are_of_four_bits() -> None:
    """Codebooks that have a name; the machine's own takes as many passes as its plan says."""
    for array in ARRAYS.values():
        book = CATALOG[array.codebook]
        assert book.bits == 4
        if array.unit is None:
            assert array.passes == len(book.plan.passes)


def test_other_shapes_are_refused() -> None:
    """What a machine cannot have, an array to compare it with cannot either."""
    with pytest.raises(ValueError, match=r"^rows must be a power of two in 8\.\.64, not 12$"):
        ARRAYS["uniform-plane"].make(12, 8, 1)
