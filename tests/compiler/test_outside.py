# SPDX-License-Identifier: Apache-2.0
"""Tensors in external memory: where rows begin, and which tensors share bytes."""

from __future__ import annotations

import pytest

from tritone.compiler.outside import Outside, lay_out
from tritone.compiler.tile import Region
from tritone.spec.isa import Base
from tritone.spec.machine import preset

TINY = preset("tiny")


def _image(width: int, pixel_bits: int) -> Outside:
    return Outside(base=Base.IMAGE, offset=16, height=10, width=width, pixel_bits=pixel_bits)


def test_rows_lie_one_behind_the_other() -> None:
    """3 pixels of 4 bytes; the second channel word behind 10 rows."""
    assert _image(3, 2).at(0, 0) == 16
    assert _image(3, 2).at(1, 2) == 16 + 12 * 12


@pytest.mark.parametrize(
    ("width", "pixel_bits", "first"),
    [(8, 0, 5), (4, 0, 4), (2, 0, 4), (1, 0, 0), (3, 2, 4), (3, 3, 5)],
)
def test_a_load_begins_at_a_whole_beat(width: int, pixel_bits: int, first: int) -> None:
    """Row 5 or the last one before it that begins at a multiple of 8 bytes."""
    assert _image(width, pixel_bits).loaded(range(5, 7)) == range(first, 7)


def test_tensors_that_live_at_once_share_no_byte() -> None:
    """Bytes of a tensor that nobody reads again are another one's, where these suffice."""
    regions = {
        name: Region(channels=words, height=2, width=3, row_words=3)
        for name, words in (("a", 2), ("b", 1), ("c", 1), ("d", 3))
    }
    lives = {"a": (0, 1), "b": (1, 4), "c": (2, 3), "d": (3, 4)}
    size = 2 * 3 * 8
    places, top = lay_out(regions, lives, TINY)
    assert {name: place.offset // size for name, place in places.items()} == {
        "a": 0,
        "b": 2,
        "c": 0,
        "d": 3,
    }
    assert top == 6 * size
    assert {
        (place.base, place.height, place.width, place.pixel_bits) for place in places.values()
    } == {(Base.PROGRAM, 2, 3, 3)}
