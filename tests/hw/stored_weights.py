# SPDX-License-Identifier: Apache-2.0
"""Which codes weight memory holds, written out from docs/machine.md."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tritone.spec.codebook import Codebook
from tritone.spec.machine import ArrayKind, MachineConfig

__all__ = ["packed_words", "weight_words"]


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


def packed_words(
    words: list[int], walk: int, bits: int, table: tuple[int, ...], lanes: int
) -> list[int]:
    """Return words of term codes in 1 or 2 bits a weight.

    Every walk begins with a word of its own. The j-th word of a walk, counted from the first one of
    a memory word, has bit j of each nibble; with 2 bits bits j and j + 2.

    Parameters
    ----------
    walk : words of a walk; as many walks follow each other in ``words``.
    table : the term codes by their packed code.
    lanes : term codes in a word.
    """
    held = 4 // bits
    packed = []
    for start in range(0, len(words), walk):
        for first in range(start, start + walk, held):
            word = 0
            for j, terms in enumerate(words[first : min(first + held, start + walk)]):
                for lane in range(lanes):
                    code = table.index(terms >> 4 * lane & 15)
                    word |= (code & 1) << 4 * lane + j
                    if bits == 2:
                        word |= (code >> 1) << 4 * lane + j + 2
            packed.append(word)
    return packed
