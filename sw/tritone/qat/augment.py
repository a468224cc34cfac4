# SPDX-License-Identifier: Apache-2.0
"""Changes to training images that do not change their class."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["flip_images", "shift_images"]


def shift_images(images: Tensor, limit: int, generator: torch.Generator) -> Tensor:
    """Return images (N, C, H, W), each moved by -limit..limit pixels in y and in x, 0 coming in."""
    if limit == 0:
        return images
    count, _, height, width = images.shape
    device = images.device
    offsets = torch.randint(0, 2 * limit + 1, (2, count, 1), generator=generator).to(device)
    padded = torch.nn.functional.pad(images, (limit, limit, limit, limit))
    rows = offsets[0] + torch.arange(height, device=device)  # (N, H)
    columns = offsets[1] + torch.arange(width, device=device)  # (N, W)
    which = torch.arange(count, device=device).view(-1, 1, 1)
    # Advanced indices around the sliced channels come first: (N, H, W, C).
    return padded[which, :, rows.unsqueeze(2), columns.unsqueeze(1)].permute(0, 3, 1, 2)


def flip_images(images: Tensor, generator: torch.Generator) -> Tensor:
    """Return images (N, C, H, W), each one mirrored left to right or not, with equal chances."""
    mirrored = (torch.rand(len(images), generator=generator) < 0.5).to(images.device)
    return torch.where(mirrored.view(-1, 1, 1, 1), images.flip(3), images)
