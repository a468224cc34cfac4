# SPDX-License-Identifier: Apache-2.0
"""What a walk adds, against the lanes of the array bit by bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tritone.golden.rails import decode_operand
from tritone.spec.catalog import CATALOG, codebook
from tritone.spec.codebook import ARRAY_CONTROL

FIELDS = {
    "kernel_height": 2,
    "kernel_width": 1,
    "in_channels": 2,
    "weight_base": 3,
    "out_channels": 2,
    "group_words": 9,
    "plane_words": 4,
    "table_base": 1,
}


def _lane(nibble: int, control: int) -> tuple[int, int]:
    """Even and odd bits that a lane hands to its adder trees."""
    entry = ARRAY_CONTROL.unpack(control)
    shifted = nibble << entry["shift"]
    even = shifted ^ (0b1111111 if entry["sign"] else 0)
    odd = shifted ^ (0b111111 if entry["sign"] else 0)
    return (even if entry["even"] else 0), (odd if entry["odd"] else 0)


@pytest.mark.parametrize("name", sorted(name for name, book in CATALOG.items() if book.runs))
def test_operands_sum_what_the_lanes_hand_on(name: str) -> None:
    """Random weights and activations: factors and constants give the sum of all lanes."""
    rng = np.random.default_rng(5)
    weights = rng.integers(0, 16, (30, 4, 8)).astype(np.uint8)
    for each in codebook(name).plan.passes:
        tables = np.array([[0] * 16, each.table], np.uint8)
        operand = decode_operand(weights, tables, FIELDS, {"plane": 1, "table": 0})
        nibbles = rng.integers(0, 16, (4, 8))  # word of the walk, row
        for group in range(2):
            for column in range(4):
                expected = [0, 0]
                for word in range(4):
                    for row in range(8):
                        code = weights[3 + 9 * group + 4 + word, column, row]
                        lane = _lane(int(nibbles[word, row]), each.table[code])
                        expected = [
                            total + part for total, part in zip(expected, lane, strict=True)
                        ]
                channel = 4 * group + column
                sums = [
                    float(nibbles.reshape(-1) @ factors[:, channel] + constants[channel])
                    for factors, constants in zip(operand.factors, operand.constants, strict=True)
                ]
                assert sums == expected


def _control(**fields: int) -> int:
    return ARRAY_CONTROL.pack({"shift": 0, "odd": 0, "even": 0, "sign": 0} | fields)


@pytest.mark.parametrize(
    ("control", "message"),
    [
        (_control(even=1, odd=1), r"^Table entry 0 must use one rail, not both$"),
        (
            _control(odd=1, shift=3),
            r"^Table entry 0 must shift the odd rail by at most 2, not 3$",
        ),
    ],
)
def test_impossible_terms_are_refused(control: int, message: str) -> None:
    """The array has no sum of both rails in a lane, and six bits on the odd one."""
    tables: Any = np.full((2, 16), control, np.uint8)
    with pytest.raises(ValueError, match=message):
        decode_operand(np.zeros((30, 4, 8), np.uint8), tables, FIELDS, {"plane": 0, "table": 0})


def test_addresses_beyond_the_memories_are_refused() -> None:
    """The last word is 3 + 9 + 4 + 3."""
    step = {"plane": 1, "table": 0}
    tables: Any = np.zeros((2, 16), np.uint8)
    decode_operand(np.zeros((20, 4, 8), np.uint8), tables, FIELDS, step)
    with pytest.raises(ValueError, match=r"^Layer must read 19 weight words, not 20$"):
        decode_operand(np.zeros((19, 4, 8), np.uint8), tables, FIELDS, step)
    with pytest.raises(ValueError, match=r"^Layer must use 2 lookup tables, not 3$"):
        decode_operand(np.zeros((20, 4, 8), np.uint8), tables, FIELDS, {"plane": 0, "table": 1})
