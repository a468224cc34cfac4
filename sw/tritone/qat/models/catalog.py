# SPDX-License-Identifier: Apache-2.0
"""The networks that have a name."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from tritone.qat.models.digits import Digits

__all__ = ["MODELS", "build_model"]

MODELS: dict[str, Callable[[int, int], nn.Module]] = {"digits": Digits}


def build_model(name: str, channels: int, classes: int) -> nn.Module:
    """Return a new network for images of ``channels`` channels, with random weights."""
    if name not in MODELS:
        raise ValueError(f"Model must be one of {', '.join(MODELS)}, not {name!r}")
    return MODELS[name](channels, classes)
