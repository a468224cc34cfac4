# SPDX-License-Identifier: Apache-2.0
"""Images as the machine reads them from external memory."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tritone.spec.machine import BEAT_BYTES, MachineConfig
from tritone.spec.program import Program

__all__ = ["image_bytes", "pack_images", "pixel_bits"]


def pixel_bits(channels: int, machine: MachineConfig) -> int:
    """Return log2 of the bytes of an image's pixel in external memory: LOAD's ``pixel_bytes``."""
    return (min(channels, machine.rows) - 1).bit_length()


def image_bytes(shape: tuple[int, int, int], machine: MachineConfig) -> int:
    """Return the distance of images (channels, height, width) in external memory, whole beats."""
    channels, height, width = shape
    size = -(-channels // machine.rows) * height * width << pixel_bits(channels, machine)
    return -(-size // BEAT_BYTES) * BEAT_BYTES


def pack_images(images: npt.NDArray[np.uint8], program: Program) -> bytes:
    """Return ``images`` (image, channel, y, x) one behind the other, as LOAD reads them.

    An image is channel word, row, pixel, channel; what fills up pixels and beats is 0.
    """
    channels, height, width = shape = tuple(program.metadata["image"]["shape"])
    if images.dtype != np.uint8:
        raise TypeError(f"Images must be raw bytes (uint8), not {images.dtype}")
    if images.ndim != 4 or images.shape[1:] != shape:
        raise ValueError(f"Images must have the shape (images, {shape}), not {images.shape}")
    lanes = 1 << pixel_bits(channels, program.machine)
    words = -(-channels // lanes)
    padded = np.zeros((len(images), words * lanes, height, width), np.uint8)
    padded[:, :channels] = images
    pixels = padded.reshape(len(images), words, lanes, height, width).transpose(0, 1, 3, 4, 2)
    packed = np.zeros((len(images), program.metadata["image"]["bytes"]), np.uint8)
    packed[:, : words * lanes * height * width] = pixels.reshape(len(images), -1)
    return packed.tobytes()
