# SPDX-License-Identifier: Apache-2.0
"""The lowest words beside what is taken."""

from __future__ import annotations

import pytest

from tritone.compiler.place import Place, first_fit
from tritone.compiler.tile import Region


def _place(base: int, words: int) -> Place:
    return Place(0, base, Region(channels=1, height=words, width=1, row_words=1))


@pytest.mark.parametrize(("needed", "base"), [(1, 0), (2, 0), (3, 5), (4, 5), (5, 14), (100, 14)])
def test_the_first_gap_that_is_large_enough(needed: int, base: int) -> None:
    """Words 0..1, 5..8 and all behind 13 are free; the order of places does not matter."""
    taken = [_place(9, 5), _place(2, 3), _place(3, 1)]
    assert first_fit(needed, taken) == base
    assert first_fit(needed, reversed(taken)) == base


def test_an_end_is_the_word_behind() -> None:
    """Channel words, rows and words of a row."""
    assert Place(1, 7, Region(channels=2, height=3, width=9, row_words=5)).end == 7 + 30
