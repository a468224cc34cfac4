# SPDX-License-Identifier: Apache-2.0
"""Accuracy."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["BATCH", "top1"]

# Images evaluated at once, to bound memory.
BATCH = 1024


@torch.no_grad()
def top1(model: Callable[[Tensor], Tensor], images: Tensor, labels: Tensor) -> float:
    """Return the percentage of ``images`` whose largest logit is their label's.

    The lowest index wins a tie.
    """
    hits = sum(
        int((model(batch).argmax(1) == truth).sum())
        for batch, truth in zip(images.split(BATCH), labels.split(BATCH), strict=True)
    )
    return 100 * hits / len(labels)
