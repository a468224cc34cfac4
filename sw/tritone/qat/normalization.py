# SPDX-License-Identifier: Apache-2.0
"""Batch norm's running statistics, measured again for weights that are final."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

__all__ = ["reestimate"]


@torch.no_grad()
def reestimate(
    model: nn.Module, forward: Callable[[Tensor], object], batches: Iterable[Tensor]
) -> None:
    """Set the running statistics of every batch norm to their mean over ``batches``.

    Parameters
    ----------
    model : in training mode.
    forward : runs ``model`` on images.
    """
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a cumulative average
    for images in batches:
        forward(images)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
