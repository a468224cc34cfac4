# SPDX-License-Identifier: Apache-2.0
"""What convolutions are calculated in while a network is fine-tuned.

bfloat16 has the range of float32 and 8 significant bits: levels times scales, and sums behind the
accumulator, are rounded to these, and so are the gradients of both. It is torch.autocast, which
changes convolutions alone here; quantisers, batch norm, the parameters, what their gradients are
added up in and whatever is measured stay in float32.
"""

from __future__ import annotations

from enum import Enum

import torch

__all__ = ["Arithmetic", "autocast", "exactly"]


class Arithmetic(Enum):
    """Of the convolutions' factors and results; they add up in float32."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"


def autocast(arithmetic: Arithmetic, device: torch.device) -> torch.autocast:
    """Return a context in which convolutions are calculated in ``arithmetic`` on ``device``."""
    return torch.autocast(device.type, torch.bfloat16, enabled=arithmetic is not Arithmetic.FLOAT32)


def exactly(device: torch.device) -> torch.autocast:
    """Return a context in which they are calculated in float32, whatever is around it."""
    return autocast(Arithmetic.FLOAT32, device)
