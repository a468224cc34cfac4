# SPDX-License-Identifier: Apache-2.0
"""Reading traced operators."""

from __future__ import annotations

from typing import Any

import pytest

from tritone.qat.parts import Value, slice_stride

ALL = slice(None)


@pytest.mark.parametrize(
    ("index", "stride"),
    [
        ((ALL, ALL, slice(None, None, 2), slice(None, None, 2)), 2),
        ((ALL, ALL, ALL, ALL), 1),
        ((ALL, ALL, slice(None, None, 3), slice(None, None, 3)), 3),
        ((ALL, ALL, slice(None, None, 2), slice(None, None, 3)), None),
        ((ALL, slice(None, None, 2), slice(None, None, 2), slice(None, None, 2)), None),
        ((slice(None, None, 2), ALL, ALL, ALL), None),
        ((ALL, ALL, slice(1, None, 2), slice(None, None, 2)), None),
        ((ALL, ALL, slice(None, 4, 2), slice(None, None, 2)), None),
        ((ALL, ALL, ALL), None),
        ((0, ALL, ALL, ALL), None),
        (0, None),
    ],
)
def test_slice_stride(index: Any, stride: int | None) -> None:
    """Only every n-th pixel in both directions, from the first one on, is a stride."""
    assert slice_stride(index) == stride


@pytest.mark.parametrize("change", [{"stride": 2}, {"before": 1}, {"after": 1}])
def test_a_part_is_not_the_whole(change: dict[str, int]) -> None:
    """Strided or padded values are no tensors."""
    assert Value(tensor="x").whole
    assert not Value(tensor="x", **change).whole
