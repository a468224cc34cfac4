# SPDX-License-Identifier: Apache-2.0
"""The stored region of a layer as it lies in external memory, and the values in it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tritone.spec.fixed import STREAM

__all__ = ["Bytes", "join_parts", "unpack_dump"]

Bytes = npt.NDArray[np.uint8]


def unpack_dump(
    data: bytes,
    shape: Sequence[int],
    wide: bool,
    rows: int,
    order: Sequence[int] | None = None,
) -> npt.NDArray[np.int16]:
    """Return the values [C, H, W] in a dump.

    Parameters
    ----------
    data : channel word, row, stored pixel: ``rows`` bytes.
    shape : C, H, W of the tensor.
    wide : a value is signed, its low byte in stored pixel 2x and its high byte in 2x + 1.
    rows : R of the machine.
    order : which channel stands at each place, if not its own.
    """
    channels, height, width = shape
    stored = 2 * width if wide else width
    words = -(-channels // rows)
    size = words * height * stored * rows
    if len(data) != size:
        raise ValueError(
            f"Dump of a tensor {tuple(shape)} must be {size} bytes long, not {len(data)}"
        )
    region = np.frombuffer(data, np.uint8).reshape(words, height, stored, rows)
    codes = region.transpose(0, 3, 1, 2).reshape(words * rows, height, stored)[:channels]
    if order is not None:
        codes = codes[np.argsort(order)]
    if not wide:
        return codes.astype(np.int16)
    values = codes[..., 0::2].astype(np.uint16) | (
        codes[..., 1::2].astype(np.uint16) << STREAM.bits
    )
    return values.view(np.int16)


def join_parts(
    dumps: Sequence[bytes],
    parts: Sequence[Sequence[int]],
    shape: Sequence[int],
    wide: bool,
    rows: int,
) -> bytes:
    """Return the dump of a tensor whose instructions have each stored a part of it.

    Parameters
    ----------
    dumps : of the instructions.
    parts : the channel word and the row with which each begins. It stores the rows before the next
        part of that channel word, of all the channel words behind it that are its own.
    shape, wide, rows : see ``unpack_dump``.

    Raises
    ------
    ValueError : the dumps do not make up the tensor.
    """
    channels, height, width = shape
    stored = 2 * width if wide else width
    words = -(-channels // rows)
    firsts = sorted({row for _, row in parts})
    heights = dict(zip(firsts, np.diff([*firsts, height]).tolist(), strict=True))
    region = np.zeros((words, height, stored, rows), np.uint8)
    filled = np.zeros((words, height), np.int64)
    for data, (word, row) in zip(dumps, parts, strict=True):
        own = np.frombuffer(data, np.uint8)
        size = heights[row] * stored * rows
        if not own.size or own.size % size:
            raise ValueError(f"Dump of a part must be a multiple of {size} bytes, not {own.size}")
        own = own.reshape(-1, heights[row], stored, rows)
        region[word : word + len(own), row : row + heights[row]] = own
        filled[word : word + len(own), row : row + heights[row]] += 1
    if (filled != 1).any():
        raise ValueError(f"Parts must make up the tensor {tuple(shape)}, each row once")
    return region.tobytes()
