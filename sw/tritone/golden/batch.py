# SPDX-License-Identifier: Apache-2.0
"""Batches of images: what a network takes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tritone.graph import Network

__all__ = ["require_images"]


def require_images(network: Network, images: npt.NDArray[np.uint8]) -> None:
    """Raise unless ``images`` are raw bytes (image, channel, y, x) as the network takes them."""
    if images.dtype != np.uint8:
        raise TypeError(f"Images must be raw bytes (uint8), not {images.dtype}")
    shape = network.tensors[network.input].shape
    if images.ndim != 4 or images.shape[1:] != shape:
        raise ValueError(f"Images must have the shape (images, {shape}), not {images.shape}")
