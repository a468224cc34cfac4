# SPDX-License-Identifier: Apache-2.0
"""Which codes weight memory holds, written out from docs/machine.md."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tritone.spec.codebook import Codebook
from tritone.spec.machine import ArrayKind, MachineConfig

__all__ = ["PACKING", "Stored", "pack", "weight_words"]

# For each pass: 4, 2 or 1 bits a weight, and what the packed codes mean.
Stored = tuple[tuple[int, tuple[int, ...]], ...]
# Field of PASS_STEP by the bits.
PACKING = {4: 0, 2: 1, 1: 2}


def weight_words(
    shape: MachineConfig,
    book: Codebook,
    codes: npt.NDArray[np.uint8],
    groups: int,
    reach: tuple[int, int],
) -> list[int]:
    """Return weight words: pass, group, ky, kx, channel word; code ``column * R + row``.

    ``codes`` are (out, in of a group, ky, kx), ``reach`` the words of a walk and the output groups
    that have them in turn. Channels of other groups meet codes that are nothing.
    """
    out_channels, inputs, kernel_height, kernel_width = codes.shape
    length, turn = reach
    words = []
    plan, nothing = book.plan(shape.array), 0 if shape.array is ArrayKind.UNIFORM else 0b0111
    for each in plan.passes:
        for first in range(0, out_channels, shape.columns):
            start = first // shape.columns // turn * length * shape.rows
            for ky in range(kernel_height):
                for kx in range(kernel_width):
                    for channel in range(start, start + length * shape.rows, shape.rows):
                        word = 0
                        for column in range(shape.columns):
                            for row in range(shape.rows):
                                o, i = first + column, channel + row
                                code = nothing
                                own = o * groups // out_channels
                                if o < out_channels and i // inputs == own:
                                    nibbles = plan.nibbles[codes[o, i % inputs, ky, kx]]
                                    code = each.table[nibbles[each.plane]]
                                word |= code << 4 * (column * shape.rows + row)
                        words.append(word)
    return words


def _packed(words: list[int], bits: int, table: tuple[int, ...], lanes: int) -> list[int]:
    """Return a walk of words of codes in 1 or 2 bits a weight.

    The j-th word, counted from the first one of a memory word, has bit j of each nibble; with 2
    bits bits j and j + 2.
    """
    held = 4 // bits
    packed = []
    for first in range(0, len(words), held):
        word = 0
        for j, codes in enumerate(words[first : first + held]):
            for lane in range(lanes):
                code = table.index(codes >> 4 * lane & 15)
                word |= (code & 1) << 4 * lane + j
                if bits == 2:
                    word |= (code >> 1) << 4 * lane + j + 2
        packed.append(word)
    return packed


def pack(
    words: list[int], stored: Stored, walk: int, shape: MachineConfig
) -> tuple[list[list[int]], int, int]:
    """Return the words of each plane, the TERMS record, and the words of a filled walk.

    Every walk, of ``walk`` words, begins with a word of its own in all planes.
    """
    densest = max(4 // bits for bits, _ in stored)
    filled = -(-walk // densest) * densest
    count = len(words) // len(stored)
    planes, terms = [], 0
    for index, (bits, table) in enumerate(stored):
        plane = []
        for first in range(index * count, (index + 1) * count, walk):
            own = words[first : first + walk]
            if bits < 4:
                own = _packed(own, bits, table, shape.rows * shape.columns)
            # Nothing reads the words that fill up.
            plane += own + [0] * (filled * bits // 4 - len(own))
        planes.append(plane)
        if bits < 4:
            base, one, two = (*table, table[0])[:3]
            terms |= (base | (base ^ one) << 4 | (base ^ two) << 8) << 12 * index
    return planes, terms, filled
