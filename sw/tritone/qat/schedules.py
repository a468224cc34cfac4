# SPDX-License-Identifier: Apache-2.0
"""What estimators are given in the course of training."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

import torch
from torch import nn

from tritone.qat.activations import ActivationQuantizer
from tritone.qat.estimators import Blending, ElementwiseScaling
from tritone.qat.modules import QuantizedConvolution

__all__ = [
    "BlendingSchedule",
    "DeltaMode",
    "DeltaSchedule",
    "Ramp",
    "hold_blended_weights",
    "set_activation_part",
    "set_blend",
    "set_delta",
]


class Ramp(Enum):
    """How alpha-blending's alpha rises from 0 to 1; x is the part of the ramp that is over."""

    CUBIC = "cubic"  # 1 - (1 - x)**3
    LINEAR = "linear"  # x
    COSINE = "cosine"  # (1 - cos(pi x)) / 2


@dataclass(frozen=True, kw_only=True)
class BlendingSchedule:
    """alpha of alpha-blending at every step of the fine-tuning.

    Parameters
    ----------
    ramp : between start and end.
    start, end : parts of the steps; alpha is 0 before and 1 behind them. Behind the end the weights
        are constant, while batch norm, biases and scales go on learning.
    """

    ramp: Ramp = Ramp.CUBIC
    start: float = 0.0
    end: float = 0.85

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.end <= 1:
            raise ValueError(
                "Recipe blending must have 0 <= start < end <= 1, "
                f"not start {self.start!r} and end {self.end!r}"
            )

    def value(self, progress: float) -> float:
        """Return alpha after ``progress`` (0..1) of the steps."""
        x = min(max((progress - self.start) / (self.end - self.start), 0.0), 1.0)
        match self.ramp:
            case Ramp.CUBIC:
                return 1 - (1 - x) ** 3
            case Ramp.LINEAR:
                return x
            case Ramp.COSINE:
                return (1 - math.cos(math.pi * x)) / 2


class DeltaMode(Enum):
    """Where EWGS's delta comes from."""

    FIXED = "fixed"
    HESSIAN = "hessian"  # the trace of the Hessian, tensor by tensor


@dataclass(frozen=True, kw_only=True)
class DeltaSchedule:
    """delta of EWGS.

    Parameters
    ----------
    mode : of all tensors.
    delta : for FIXED.
    interval : for HESSIAN: epochs between estimates, the first of them after so many; delta is 0
        until then.
    batches, batch : for HESSIAN: number and size of the training batches of an estimate.
    probes : for HESSIAN: random vectors for each tensor and batch, at most.
    """

    mode: DeltaMode = DeltaMode.FIXED
    delta: float = 1e-3
    interval: int = 10
    batches: int = 3
    batch: int = 256
    probes: int = 50

    def __post_init__(self) -> None:
        if not self.delta >= 0:
            raise ValueError(f"Recipe ewgs delta must not be negative, not {self.delta!r}")
        for key in ("interval", "batches", "batch", "probes"):
            if not getattr(self, key) > 0:
                raise ValueError(f"Recipe ewgs {key} must be positive, not {getattr(self, key)!r}")


def set_blend(model: nn.Module, value: float) -> bool:
    """Set alpha of every Blending in ``model``; return whether that changed one."""
    found = [module for module in model.modules() if isinstance(module, Blending)]
    changed = any(float(module.blend) != value for module in found)
    for module in found:
        module.blend.fill_(value)
    return changed


def hold_blended_weights(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Keep weights whose alpha is 1 from being changed by the optimiser's next step.

    They no longer have a gradient, but weight decay and momentum would still move them, and change
    codes that no loss watches.
    """
    for layer in model.modules():
        if not isinstance(layer, QuantizedConvolution):
            continue
        estimator = layer.weight_quantizer.estimator
        if isinstance(estimator, Blending) and float(estimator.blend) == 1:
            layer.weight.grad = None
            optimizer.state.pop(layer.weight, None)


def set_activation_part(model: nn.Module, part: float) -> None:
    """Tell the activation quantisers of ``model`` which part of a batch this process has, 0..1."""
    for module in model.modules():
        if isinstance(module, ActivationQuantizer):
            module.part = part


def set_delta(model: nn.Module, value: float) -> None:
    """Set delta of every ElementwiseScaling in ``model``."""
    for module in model.modules():
        if isinstance(module, ElementwiseScaling):
            module.delta.fill_(value)
