# SPDX-License-Identifier: Apache-2.0
"""ResNet-20, 32 and 56 for 32x32 images (He et al., arXiv 1512.03385, section 4.2)."""

from __future__ import annotations

from enum import Enum

from torch import Tensor, nn
from torch.nn import functional

__all__ = ["ResNetCifar", "Shortcuts"]


class Shortcuts(Enum):
    """What a block that halves the image adds."""

    PADDED = "A"  # every second pixel, channels of zeros before and behind
    CONVOLVED = "B"  # a 1x1 convolution of stride 2 with batch norm


class Block(nn.Module):
    """Two 3x3 convolutions and a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int, shortcuts: Shortcuts) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.stride, self.padding = stride, (outputs - inputs) // 2
        self.shortcut = nn.Sequential()
        if shortcuts is Shortcuts.CONVOLVED and (stride != 1 or inputs != outputs):
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, outputs, H / stride, W / stride)."""
        y = functional.relu(self.norm1(self.conv1(x)))
        y = self.norm2(self.conv2(y))
        if len(self.shortcut):
            x = self.shortcut(x)
        elif self.stride != 1 or self.padding:
            x = x[:, :, :: self.stride, :: self.stride]
            x = functional.pad(x, (0, 0, 0, 0, self.padding, self.padding))
        return functional.relu(y + x)


class ResNetCifar(nn.Module):
    """A convolution, three stages of ``blocks`` blocks with 16, 32 and 64 channels, and a layer.

    Parameters
    ----------
    channels : of the image.
    classes : logits.
    blocks : of a stage: 3 for ResNet-20, 5 for 32, 9 for 56.
    shortcuts : at the two halvings.
    """

    def __init__(
        self, channels: int, classes: int, blocks: int, shortcuts: Shortcuts = Shortcuts.PADDED
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 16, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(16)
        self.stage1 = _stage(16, 16, 1, blocks, shortcuts)
        self.stage2 = _stage(16, 32, 2, blocks, shortcuts)
        self.stage3 = _stage(32, 64, 2, blocks, shortcuts)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.linear = nn.Linear(64, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits (N, classes) of images (N, channels, 32, 32)."""
        x = functional.relu(self.norm1(self.conv1(x)))  # (N, 16, 32, 32)
        x = self.stage1(x)  # (N, 16, 32, 32)
        x = self.stage2(x)  # (N, 32, 16, 16)
        x = self.stage3(x)  # (N, 64, 8, 8)
        return self.linear(self.pool(x).flatten(1))  # (N, classes)


def _stage(
    inputs: int, outputs: int, stride: int, blocks: int, shortcuts: Shortcuts
) -> nn.Sequential:
    first = Block(inputs, outputs, stride, shortcuts)
    return nn.Sequential(first, *(Block(outputs, outputs, 1, shortcuts) for _ in range(blocks - 1)))
