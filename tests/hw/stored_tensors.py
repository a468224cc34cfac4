# SPDX-License-Identifier: Apache-2.0
"""Where the bytes of tensors lie in feature memory, written out from docs/machine.md."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tritone.spec.machine import MachineConfig

__all__ = ["Bytes", "region", "stored_pixels"]

Integers = npt.NDArray[np.int64]
Bytes = dict[tuple[int, int, int, int], int]  # (group, bank, word, lane): a channel of a pixel


def stored_pixels(results: Integers, wide: bool) -> Integers:
    """Return results as the bytes of stored pixels."""
    if not wide:
        return results
    words = results & 0xFFFF
    pairs = np.stack([words & 255, words >> 8], -1)
    return pairs.reshape(*results.shape[:2], 2 * results.shape[2])


def region(tensor: Integers, shape: MachineConfig, group: int, base: int) -> Bytes:
    """Return where the bytes of a stored tensor lie."""
    channels, height, width = tensor.shape
    banks = 2 * shape.pixels
    row_words = -(-width // banks)
    return {
        (
            group,
            x % banks,
            base + (channel // shape.rows * height + y) * row_words + x // banks,
            channel % shape.rows,
        ): int(tensor[channel, y, x])
        for channel in range(channels)
        for y in range(height)
        for x in range(width)
    }
