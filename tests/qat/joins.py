# SPDX-License-Identifier: Apache-2.0
"""A network with concatenations, written with functions, and batch norm behind a linear layer."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["SHAPE", "Joins"]

SHAPE = (2, 9, 9)


class Joins(nn.Module):
    """Parts: behind a ReLU, signed, pooled, nested; read by a layer and by an add."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 4, 3, padding=1)
        self.left, self.norm1 = nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
        self.middle = nn.Conv2d(4, 4, 1)
        self.right, self.norm2 = nn.Conv2d(4, 3, 1), nn.BatchNorm2d(3)
        self.mixed, self.norm3 = nn.Conv2d(11, 11, 3, padding=1), nn.BatchNorm2d(11)
        self.drop = nn.Dropout()
        self.hidden, self.norm4 = nn.Linear(11 * 16, 8), nn.BatchNorm1d(8)
        self.logits = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits (N, 3) of images (N, 2, 9, 9)."""
        x = functional.relu(self.first(x))  # (N, 4, 9, 9)
        signed = self.middle(x)
        y = functional.relu(self.norm1(self.left(x)))
        pooled = functional.max_pool2d(signed, 3, stride=1, padding=1)
        both = torch.cat([y, pooled], 1)  # (N, 8, 9, 9)
        every = torch.cat((both, functional.relu(self.norm2(self.right(pooled)))), dim=1)
        x = functional.relu(self.norm3(self.mixed(every)) + every)  # (N, 11, 9, 9)
        x = functional.avg_pool2d(x, 2)  # (N, 11, 4, 4)
        x = self.drop(x).reshape(x.size(0), -1)
        return self.logits(functional.relu(self.norm4(self.hidden(x))))
