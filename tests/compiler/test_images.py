# SPDX-License-Identifier: Apache-2.0
"""Images lie in external memory as docs/machine.md says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tritone.compiler import compile_network, pack_images
from tritone.graph import Network
from tritone.spec.machine import preset


@pytest.mark.parametrize(
    ("channels", "words", "pixel_bytes"),
    [(1, 1, 1), (2, 1, 2), (3, 1, 4), (5, 1, 8), (8, 1, 8), (9, 2, 8), (16, 2, 8)],
)
def test_every_byte_has_its_place(
    channels: int,
    words: int,
    pixel_bytes: int,
    spec: Any,
    random_network: Callable[..., Network],
) -> None:
    """Channel word, row, pixel, then the channels; the rest is 0 up to whole beats."""
    program = compile_network(random_network((channels, 3, 5), [spec(out=2)]), preset("tiny"))
    size = -(-words * 15 * pixel_bytes // 8) * 8
    assert program.metadata["image"] == {"shape": [channels, 3, 5], "bytes": size}
    images = np.random.default_rng(0).integers(1, 256, (2, channels, 3, 5)).astype(np.uint8)
    packed = pack_images(images, program)
    assert len(packed) == 2 * size
    for n, c, y, x in np.ndindex(images.shape):
        place = n * size + ((c // 8 * 3 + y) * 5 + x) * pixel_bytes + c % 8
        assert packed[place] == images[n, c, y, x]
    assert sum(byte > 0 for byte in packed) == images.size


def test_a_digit_is_its_64_bytes(spec: Any, random_network: Callable[..., Network]) -> None:
    """One channel of 8 x 8."""
    program = compile_network(random_network((1, 8, 8), [spec(out=2)]), preset("demo"))
    images = np.arange(128).reshape(2, 1, 8, 8).astype(np.uint8)
    assert pack_images(images, program) == images.tobytes()


def test_other_arrays_are_refused(spec: Any, random_network: Callable[..., Network]) -> None:
    """Raw bytes of the program's image shape."""
    program = compile_network(random_network((1, 4, 4), [spec(out=2)]), preset("tiny"))
    with pytest.raises(TypeError, match=r"^Images must be raw bytes \(uint8\), not int64$"):
        pack_images(np.zeros((1, 1, 4, 4), np.int64), program)
    with pytest.raises(
        ValueError, match=r"^Images must have the shape \(images, \(1, 4, 4\)\), not \(1, 4, 4\)$"
    ):
        pack_images(np.zeros((1, 4, 4), np.uint8), program)
