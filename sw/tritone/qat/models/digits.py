# SPDX-License-Identifier: Apache-2.0
"""A small network for the 8x8 digits: stride 1 and 2, padding, both pools, a linear layer."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

__all__ = ["Digits"]


class Digits(nn.Module):
    """Three 3x3 convolutions of 16, 32 and 32 channels and a linear layer.

    Parameters
    ----------
    channels : of the image.
    classes : logits.
    """

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 16, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(16)
        self.conv2 = nn.Conv2d(16, 32, 3, stride=2, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(32)
        self.conv3 = nn.Conv2d(32, 32, 3, padding=1, bias=False)
        self.norm3 = nn.BatchNorm2d(32)
        self.maxpool = nn.MaxPool2d(2)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.linear = nn.Linear(32, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits (N, classes) of images (N, channels, 8, 8)."""
        x = functional.relu(self.norm1(self.conv1(x)))  # (N, 16, 8, 8)
        x = functional.relu(self.norm2(self.conv2(x)))  # (N, 32, 4, 4)
        x = functional.relu(self.norm3(self.conv3(x)))  # (N, 32, 4, 4)
        x = self.avgpool(self.maxpool(x))  # (N, 32, 1, 1)
        return self.linear(x.flatten(1))  # (N, classes)
