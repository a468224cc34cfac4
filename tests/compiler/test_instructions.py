# SPDX-License-Identifier: Apache-2.0
"""Views of tensors in feature memory, and the fields of transfers."""

from __future__ import annotations

from tritone.compiler.instructions import View, load_pixels, store_rows
from tritone.compiler.outside import Outside
from tritone.compiler.place import Place
from tritone.compiler.tile import Region
from tritone.spec.isa import Base, MemoryId

PLACE = Place(1, 100, Region(channels=3, height=5, width=9, row_words=2))
OUTSIDE = Outside(base=Base.PROGRAM, offset=64, height=20, width=9, pixel_bits=3)


def test_a_view_begins_where_it_is_told() -> None:
    """Two channel words of 5 rows further, and three rows of 2 words."""
    assert View.of(PLACE) == View(1, 100, 2, 10, 5)
    assert View.of(PLACE).behind(2, 3) == View(1, 100 + 20 + 6, 2, 10, 2)


def test_rows_of_a_buffer_lie_together() -> None:
    """Fewer rows than it could hold."""
    assert View.of_buffer(PLACE, 3).behind(2) == View(1, 100 + 2 * 6, 2, 6, 3)


def test_a_load_names_rows_of_a_channel_word() -> None:
    """Rows 4..6 of the second one of 20 rows of 72 bytes."""
    fields = load_pixels(OUTSIDE, 1, range(4, 7), View.of(PLACE))
    expected = {"source": Base.PROGRAM, "offset": 64 + 24 * 72, "memory": MemoryId.FEATURE_1}
    expected |= {"address": 100, "beats": 27, "width": 9, "rows": 3, "row_words": 2}
    expected |= {"pixel_bytes": 3, "kernel": 0, "words": 0}
    assert {name: fields[name] for name in expected} == expected


def test_a_store_names_the_same_bytes() -> None:
    """What a LOAD of these rows reads."""
    fields = store_rows(View.of(PLACE), 3, OUTSIDE, 1, 4)
    assert fields == {
        "target": Base.PROGRAM,
        "offset": 64 + 24 * 72,
        "group": 1,
        "base": 100,
        "width": 9,
        "rows": 3,
        "row_words": 2,
    }
