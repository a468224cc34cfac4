# SPDX-License-Identifier: Apache-2.0
"""A network with every kind of shortcut, and grouped convolutions; images for it."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["EVEN_SHAPE", "SHAPE", "Branches", "random_images"]

SHAPE = (2, 9, 9)
# The last average of Branches takes 2x2 pixels of these.
EVEN_SHAPE = (2, 7, 7)


class Branches(nn.Module):
    """Shortcuts: the tensor itself; strided and padded with channels; convolved; without a ReLU."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm1 = nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.same, self.norm2 = nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.wider, self.norm3 = nn.Conv2d(4, 6, 3, stride=2, padding=1), nn.BatchNorm2d(6)
        self.deep, self.norm4 = nn.Conv2d(6, 6, 3, padding=1, groups=6), nn.BatchNorm2d(6)
        self.few, self.norm5 = nn.Conv2d(6, 4, 1, groups=2), nn.BatchNorm2d(4)
        self.point, self.norm6 = nn.Conv2d(4, 8, 1, stride=2), nn.BatchNorm2d(8)
        self.side, self.norm7 = nn.Conv2d(6, 8, 1, stride=2), nn.BatchNorm2d(8)
        self.last = nn.Conv2d(8, 8, 3, padding=1)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.logits = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits (N, 3) of images (N, 2, 9, 9)."""
        x = functional.relu(self.norm1(self.first(x)))  # (N, 4, 9, 9)
        x = functional.relu(self.norm2(self.same(x)) + x)
        short = functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 1, 1))
        x = functional.relu(short + self.norm3(self.wider(x)))  # (N, 6, 5, 5)
        y = functional.relu(self.norm4(self.deep(x)))
        y = functional.relu(self.norm5(self.few(y)))  # (N, 4, 5, 5)
        y = self.norm6(self.point(y))
        y += self.norm7(self.side(x))
        x = functional.relu(y)  # (N, 8, 3, 3)
        x = self.last(x).add(x)
        return self.logits(self.pool(x).flatten(1))


def random_images(count: int, shape: tuple[int, int, int], seed: int) -> Tensor:
    """Return noise around a brightness of each image and channel, which no layer averages out."""
    generator = torch.Generator().manual_seed(seed)
    brightness = torch.randint(0, 256, (count, shape[0], 1, 1), generator=generator)
    noise = torch.randint(-90, 91, (count, *shape), generator=generator)
    return (brightness + noise).clamp(0, 255).to(torch.uint8)
