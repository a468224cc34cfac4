# SPDX-License-Identifier: Apache-2.0
"""The arrays that are compared."""

from __future__ import annotations

import pytest

from tritone.spec.catalog import CATALOG
from tritone_hw.comparison.arrays import ARRAYS


def test_weights_are_of_four_bits() -> None:
    """Codebooks that have a name; the machine's own arrays take one pass over them."""
    for array in ARRAYS.values():
        book = CATALOG[array.codebook]
        assert book.bits == 4
        if array.unit is None:
            assert len(book.plan(array.array).passes) == 1


def test_other_shapes_are_refused() -> None:
    """What a machine cannot have, an array to compare it with cannot either."""
    with pytest.raises(ValueError, match=r"^rows must be a power of two in 8\.\.64, not 12$"):
        ARRAYS["uniform-plane"].make(12, 8, 1)
