# SPDX-License-Identifier: Apache-2.0
"""ResNet-8, the image classifier of MLPerf Tiny (Banbury et al., arXiv 2106.07597)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

__all__ = ["ResNet8"]


class Block(nn.Module):
    """Two 3x3 convolutions; the shortcut is a 1x1 convolution without norm where shapes change."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.shortcut = (
            nn.Identity() if stride == 1 else nn.Conv2d(inputs, outputs, 1, stride=stride)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, outputs, H / stride, W / stride)."""
        y = functional.relu(self.norm1(self.conv1(x)))
        return functional.relu(self.norm2(self.conv2(y)) + self.shortcut(x))


class ResNet8(nn.Module):
    """A convolution, blocks of 16, 32 and 64 channels, average pool, linear layer.

    Parameters
    ----------
    channels : of the image.
    classes : logits.
    """

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 16, 3, padding=1)
        self.norm1 = nn.BatchNorm2d(16)
        self.block1 = Block(16, 16, 1)
        self.block2 = Block(16, 32, 2)
        self.block3 = Block(32, 64, 2)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.linear = nn.Linear(64, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits (N, classes) of images (N, channels, 32, 32)."""
        x = functional.relu(self.norm1(self.conv1(x)))  # (N, 16, 32, 32)
        x = self.block1(x)  # (N, 16, 32, 32)
        x = self.block2(x)  # (N, 32, 16, 16)
        x = self.block3(x)  # (N, 64, 8, 8)
        return self.linear(self.pool(x).flatten(1))  # (N, classes)
