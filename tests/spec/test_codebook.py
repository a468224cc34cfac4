# SPDX-License-Identifier: Apache-2.0
"""Codebooks: levels, codes, and what refuses them."""

from __future__ import annotations

import pytest

from tritone.spec.catalog import codebook
from tritone.spec.codebook import Codebook
from tritone.spec.level import Level
from tritone.spec.machine import ArrayKind


def test_codebook_must_have_an_entry_for_each_code() -> None:
    """The number of levels is two to the bits."""
    with pytest.raises(ValueError, match=r"^Codebook odd must have 2\*\*2 entries, not 3$"):
        Codebook("odd", 2, (Level(0), Level(1), Level(-1)), 1)


def test_unused_codes_are_refused() -> None:
    """A code without a level, and one outside, have no level."""
    for code in (8, 16, -1):
        with pytest.raises(
            ValueError, match=rf"^Code must be one that codebook int4 uses, not {code}$"
        ):
            codebook("int4").level(code)


def test_zero_code() -> None:
    """The code of zero is the lowest that means zero; binary has none."""
    assert codebook("post4").zero_code == 7
    assert codebook("int4").zero_code == 0
    assert not codebook("binary").has_zero
    with pytest.raises(ValueError, match=r"^Codebook binary must have a zero level"):
        _ = codebook("binary").zero_code


def test_codes_are_sorted_and_distinct() -> None:
    """One code for each level, from the smallest value to the largest."""
    book = codebook("post3")
    assert book.codes == (5, 6, 4, 3, 0, 2, 1)
    assert [book.value(code) for code in book.codes] == [
        -1.0,
        -181 / 256,
        -0.5,
        0.0,
        0.5,
        181 / 256,
        1.0,
    ]


def test_what_needs_five_passes_does_not_run() -> None:
    """171 = 10101011b has five signed digits and no fewer; odd8 can still be trained."""
    for array in (ArrayKind.POST, ArrayKind.POT):
        assert not codebook("odd8").runs(array)
        message = rf"^Codebook odd8 must need at most 4 passes on an array {array}; it needs more$"
        with pytest.raises(ValueError, match=message):
            codebook("odd8").plan(array)
    assert codebook("odd8").runs(ArrayKind.UNIFORM)


def test_sqrt_2_needs_its_rail() -> None:
    """An array of one rail does not run POST."""
    assert codebook("post4").runs(ArrayKind.POST)
    for array in (ArrayKind.UNIFORM, ArrayKind.POT):
        message = rf"^Codebook post4 must have no sqrt 2 in it for an array {array}; it has$"
        with pytest.raises(ValueError, match=message):
            codebook("post4").plan(array)


def test_more_than_four_passes_are_refused_by_name() -> None:
    """Levels that five terms are needed for have no plan."""
    wide = (1 << 13) - 1  # all terms with shift 8 or less reach 8 * 2**8 each
    book = Codebook("wide", 1, (Level(0), Level(wide)), wide)
    with pytest.raises(ValueError, match=r"^Codebook wide must need at most 4 passes on an array"):
        book.plan(ArrayKind.POST)
