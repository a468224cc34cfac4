# SPDX-License-Identifier: Apache-2.0
"""VGG-small and BinaryNet's network for 32x32 images (Courbariaux et al., arXiv 1602.02830)."""

from __future__ import annotations

from torch import Tensor, nn

__all__ = ["BinaryNet", "VggSmall"]


def _unit(inputs: int, outputs: int, pool: bool) -> list[nn.Module]:
    """Return a 3x3 convolution, its norm and ReLU; the pool comes behind them."""
    layers: list[nn.Module] = [
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    ]
    return [*layers, nn.MaxPool2d(2)] if pool else layers


def _features(channels: int) -> nn.Sequential:
    """Return six convolutions: (N, channels, 32, 32) to (N, 512, 4, 4)."""
    return nn.Sequential(
        *_unit(channels, 128, pool=False),
        *_unit(128, 128, pool=True),  # (N, 128, 16, 16)
        *_unit(128, 256, pool=False),
        *_unit(256, 256, pool=True),  # (N, 256, 8, 8)
        *_unit(256, 512, pool=False),
        *_unit(512, 512, pool=True),  # (N, 512, 4, 4)
    )


class VggSmall(nn.Module):
    """Six 3x3 convolutions of 128 to 512 channels and one linear layer.

    Parameters
    ----------
    channels : of the image.
    classes : logits.
    """

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.features = _features(channels)
        self.linear = nn.Linear(512 * 4 * 4, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits (N, classes) of images (N, channels, 32, 32)."""
        return self.linear(self.features(x).flatten(1))


class BinaryNet(nn.Module):
    """The same convolutions and three fully connected layers of 1024, 1024 and ``classes``.

    The fully connected ones are convolutions whose window is their whole input, so that batch norm
    has channels.

    Parameters
    ----------
    channels : of the image.
    classes : logits.
    """

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.features = _features(channels)
        self.hidden = nn.Sequential(
            nn.Conv2d(512, 1024, 4, bias=False),
            nn.BatchNorm2d(1024),
            nn.ReLU(),
            nn.Conv2d(1024, 1024, 1, bias=False),
            nn.BatchNorm2d(1024),
            nn.ReLU(),
        )
        self.linear = nn.Linear(1024, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits (N, classes) of images (N, channels, 32, 32)."""
        x = self.hidden(self.features(x))  # (N, 1024, 1, 1)
        return self.linear(x.flatten(1))
