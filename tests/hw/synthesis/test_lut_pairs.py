# SPDX-License-Identifier: Apache-2.0
"""Functions that share a LUT6."""

from __future__ import annotations

from typing import Any

import pytest

from tritone_hw.synthesis.lut_pairs import lut_pairs, route_throughs


def lut(inputs: str, output: str) -> dict[str, Any]:
    """Return a LUT of nets named by letters."""
    pins = {f"I{n}": [ord(net)] for n, net in enumerate(inputs)}
    return {"type": f"LUT{len(inputs)}", "connections": pins | {"O": [ord(output)]}}


def count(*cells: dict[str, Any]) -> int:
    """Return the pairs of the cells."""
    return lut_pairs({"modules": {"top": {"cells": dict(enumerate(cells))}}}, "top")


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        (("abc", "abd"), 1),  # four in all
        (("abc", "ade"), 0),  # five in all, one in common of three
        (("abcd", "abef"), 0),  # six in all
        (("ab", "cd"), 0),  # nothing in common
        (("a", "ab"), 1),
        (("abcdef", "abc"), 0),  # all six inputs: no second output
        (("abc", "abd", "bcd"), 1),  # no three
        (("abcde", "abcde", "abcd", "abce"), 2),
    ],
)
def test_pairs(inputs: tuple[str, ...], expected: int) -> None:
    """At most five inputs together, and enough in common."""
    assert count(*(lut(each, chr(0x100 + n)) for n, each in enumerate(inputs))) == expected


def test_outputs_that_are_taken() -> None:
    """A LUT6_2 has none left, a carry's select wants O6; a complement is a function too."""
    carry = {"type": "CARRY4", "connections": {"S": [ord("s")], "O": [1]}}
    both = {"type": "LUT6_2", "connections": {"I0": [ord("a")], "O5": [2], "O6": [3]}}
    inverter = {"type": "INV", "connections": {"I": [ord("a")], "O": [4]}}
    assert count(lut("abc", "s"), lut("abc", "t")) == 1
    assert count(carry, lut("abc", "s"), lut("abc", "t")) == 0
    assert count(both, lut("ab", "t")) == 0
    assert count(inverter, lut("ab", "t")) == 1


@pytest.mark.parametrize(
    ("selects", "expected"),
    [
        ([115, 54, "0", "1"], 0),  # a function, the O6 of two, constants
        ([53, 54], 1),  # an O5 has no way to a select
        ([7, 115, 8], 2),  # registers
        ([115, 115, 54, 54], 2),  # a second place wants a LUT of its own
    ],
)
def test_selects_without_a_function(selects: list[int | str], expected: int) -> None:
    """A LUT6 passes on what is no O6 of a LUT that stands beside it."""
    cells = [
        lut("abc", "s"),
        {"type": "LUT6_2", "connections": {"I0": [ord("a")], "O5": [53], "O6": [54]}},
        {"type": "FDRE", "connections": {"D": [1], "Q": [7]}},
        {"type": "FDRE", "connections": {"D": [1], "Q": [8]}},
        {"type": "CARRY4", "connections": {"S": selects, "O": [2]}},
    ]
    netlist = {"modules": {"top": {"cells": dict(enumerate(cells))}}}
    assert route_throughs(netlist, "top") == expected
