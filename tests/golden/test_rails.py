# SPDX-License-Identifier: Apache-2.0
"""What a walk adds, against the lanes of the array bit by bit."""

from __future__ import annotations

import numpy as np
import pytest

from tritone.golden.rails import decode_operand
from tritone.spec.machine import ArrayKind

FIELDS = {
    "kernel_height": 2,
    "kernel_width": 1,
    "in_channels": 2,
    "weight_base": 3,
    "out_channels": 2,
    "group_words": 9,
    "plane_words": 4,
}


def _lane(kind: ArrayKind, nibble: int, code: int) -> tuple[int, int]:
    """Even and odd bits that a lane hands to its adder trees: docs/numerics.md."""
    sign, odd, shift = code >> 3, code >> 2 & 1, code & 3
    shifted = nibble << shift
    match kind:
        case ArrayKind.UNIFORM:
            # The lowest three planes, and the complement of the activation for the fourth.
            return nibble * (code & 7) - 8 * sign * nibble, 0
        case ArrayKind.POT:
            if code & 7 == 7:
                return 0, 0
            return (nibble << (code & 7)) ^ (0b1111111111 if sign else 0), 0
        case ArrayKind.POST:
            if odd and shift == 3:
                return 0, 0
            if odd:
                return 0, shifted ^ (0b111111 if sign else 0)
            return shifted ^ (0b1111111 if sign else 0), 0


# What a step of 8 rows adds besides: 8 times seven ones, since 8 * 15 has 7 bits.
OF_STEP = {ArrayKind.POST: 0, ArrayKind.UNIFORM: 8 * 127, ArrayKind.POT: 0}


@pytest.mark.parametrize("kind", ArrayKind)
def test_operands_sum_what_the_lanes_hand_on(kind: ArrayKind) -> None:
    """Random weights and activations: factors and constants give the sum of all lanes."""
    rng = np.random.default_rng(5)
    weights = rng.integers(0, 16, (30, 4, 8)).astype(np.uint8)
    for _ in range(4):
        operand = decode_operand(kind, weights, FIELDS, {"plane": 1, "packing": 0})
        nibbles = rng.integers(0, 16, (4, 8))  # word of the walk, row
        for group in range(2):
            for column in range(4):
                expected = [4 * OF_STEP[kind], 0]
                for word in range(4):
                    for row in range(8):
                        code = weights[3 + 9 * group + 4 + word, column, row]
                        lane = _lane(kind, int(nibbles[word, row]), int(code))
                        expected = [
                            total + part for total, part in zip(expected, lane, strict=True)
                        ]
                channel = 4 * group + column
                sums = [
                    float(nibbles.reshape(-1) @ factors[:, channel] + constants[channel])
                    for factors, constants in zip(operand.factors, operand.constants, strict=True)
                ]
                assert sums == expected


def test_addresses_beyond_the_memories_are_refused() -> None:
    """The last word is 3 + 9 + 4 + 3."""
    step = {"plane": 1, "packing": 0}
    decode_operand(ArrayKind.POST, np.zeros((20, 4, 8), np.uint8), FIELDS, step)
    with pytest.raises(ValueError, match=r"^Layer must read 19 weight words, not 20$"):
        decode_operand(ArrayKind.POST, np.zeros((19, 4, 8), np.uint8), FIELDS, step)


def test_packed_words() -> None:
    """Each bit of a nibble is one of four words, or two of them a code of two words.

    The word before the first one of a memory word belongs to the output group before.
    """
    rng = np.random.default_rng(9)
    weights = rng.integers(0, 16, (12, 4, 8)).astype(np.uint8)
    fields = FIELDS | {"group_words": 8, "plane_words": 4, "weight_base": 1}
    # Plane 1: code 0 means 5, 1 means 14, 2 means 7, and so 3 means 5 ^ 11 ^ 2.
    terms, table = 5 << 12 | 11 << 16 | 2 << 20, (5, 14, 7, 12)
    for packing, words in ((1, 2), (2, 4)):
        found = decode_operand(
            ArrayKind.POST, weights, fields, {"plane": 1, "packing": packing}, terms
        )
        plain = np.zeros((20, 4, 8), np.uint8)
        for group, word in np.ndindex(2, 4):
            at, part = divmod(group * 8 + word, words)
            nibbles = weights[1 + 4 + at]
            codes = nibbles >> part & 1
            if packing == 1:
                codes = codes + 2 * (nibbles >> part + 2 & 1)
            plain[group * 4 + word] = np.array(table)[codes]
        same = FIELDS | {"group_words": 4, "weight_base": 0}
        expected = decode_operand(ArrayKind.POST, plain, same, {"plane": 0, "packing": 0})
        for ours, theirs in zip(
            found.factors + found.constants, expected.factors + expected.constants, strict=True
        ):
            assert (ours == theirs).all()
