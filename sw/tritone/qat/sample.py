# SPDX-License-Identifier: Apache-2.0
"""Training images that stand for all of them where statistics need no more."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

__all__ = ["sample"]

SEED = 0


def sample(images: Tensor, count: int) -> Tensor:
    """Return ``count`` of ``images``, all if there are no more, in an order that is no one's own.

    Data sets may be sorted, pictures in folders by class: the first ones stand for themselves
    alone. The order depends on the number of images and on nothing else.
    """
    # The legacy generator: numpy promises that its stream never changes.
    order = np.random.RandomState(SEED).permutation(len(images))[:count]
    return images[torch.from_numpy(order).to(images.device)]
