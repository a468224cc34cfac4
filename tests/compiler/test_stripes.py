# SPDX-License-Identifier: Apache-2.0
"""Rows that stripes read and the padding that is left to them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tritone.compiler.constants import Slice
from tritone.compiler.fold import fold
from tritone.compiler.gather import gather
from tritone.compiler.stripes import cut, pixel_rows, read_words, stored_words, unit_words
from tritone.compiler.tile import TiledLayer, tile
from tritone.graph import Network
from tritone.spec.machine import preset

TINY = preset("tiny")
HALF = replace(preset("tiny"), name="half", rows=16)


@pytest.fixture
def tiled(spec: Any, random_network: Callable[..., Network]) -> Callable[..., TiledLayer]:
    """``tiled(height, **spec)``: a layer that reads 8 channels of so many rows of 4 pixels."""

    def make(height: int, **values: Any) -> TiledLayer:
        (layer,) = fold(random_network((8, height, 4), [spec(out=8, **values)]))
        return tile(layer, TINY)

    return make


@pytest.mark.parametrize(
    ("values", "rows", "expected"),
    [
        ({"pad": (1, 0, 1, 0)}, 4, [(0, 4, 0, 5, 1), (4, 4, 3, 9, 0), (8, 2, 7, 10, 0)]),
        ({"pad": (1, 0, 1, 0), "stride": 2}, 3, [(0, 3, 0, 6, 1), (3, 2, 5, 10, 0)]),
        ({"kernel": (1, 1)}, 10, [(0, 10, 0, 10, 0)]),
        # Padding alone lies above the one row that an instruction has.
        ({"kernel": (1, 1), "pad": (2, 0, 1, 0)}, 2,
         [(0, 2, 0, 1, 2), (2, 2, 0, 2, 0), (4, 2, 2, 4, 0), (6, 2, 4, 6, 0), (8, 2, 6, 8, 0),
          (10, 2, 8, 10, 0), (12, 1, 0, 1, 1)]),
    ],
)  # fmt: skip
def test_stripes(
    values: dict[str, Any],
    rows: int,
    expected: list[tuple[int, ...]],
    tiled: Callable[..., TiledLayer],
) -> None:
    """First row and rows of the output; rows of the input; rows of padding."""
    found = [
        (each.first, each.rows, each.source.start, each.source.stop, each.pad_top)
        for each in cut(tiled(10, **values), rows)
    ]
    assert found == expected


def test_rows_of_an_image_for_windows(spec: Any, random_network: Callable[..., Network]) -> None:
    """Stride 2, a row of padding above 9 rows: 5 rows of windows, of which two read 4 and 5."""
    network = random_network((1, 9, 8), [spec(out=8, stride=2, pad=(1, 0, 1, 0), bits=8)])
    gathered = gather(fold(network), TINY)
    assert gathered is not None
    windows, layers = gathered
    found = [pixel_rows(each, windows) for each in cut(tile(layers[0], TINY), 2)]
    assert found == [(range(4), 1, 5), (range(3, 8), 0, 5), (range(7, 9), 0, 3)]


def test_channel_words_of_slices(spec: Any, random_network: Callable[..., Network]) -> None:
    """Two groups of 8 in a word of 16; 48 channels in 3 groups of 16, each its own word."""
    (layer,) = fold(random_network((48, 2, 2), [spec(out=48, groups=3, kernel=(1, 1))]))
    grouped = tile(layer, HALF)
    assert (grouped.reach.words, grouped.reach.turn) == (1, 2)
    assert read_words(grouped, Slice(0, 2, 4)) == range(1, 3)
    assert stored_words(Slice(0, 2, 3), HALF) == range(1, 3)
    assert unit_words(grouped, HALF) == 2
    (layer,) = fold(random_network((48, 2, 2), [spec(out=72, groups=3, kernel=(1, 1))]))
    uneven = tile(layer, HALF)
    assert (uneven.reach.words, uneven.reach.turn) == (1, 3)
    assert unit_words(uneven, HALF) is None
