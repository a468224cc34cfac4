# SPDX-License-Identifier: Apache-2.0
"""Optimisers, their parameter groups and the learning rate's schedule."""

from __future__ import annotations

import math

import torch
from torch import nn

from tritone.qat.activations import ActivationQuantizer
from tritone.qat.quantizers import WeightQuantizer
from tritone.qat.recipe import Finetuning, Optimizer, Pretraining

__all__ = ["build_optimizer", "cosine", "set_progress"]

MOMENTUM = 0.9


def build_optimizer(
    rule: Optimizer, model: nn.Module, stage: Pretraining | Finetuning
) -> torch.optim.Optimizer:
    """Return an optimiser with three groups of parameters.

    Weights of convolutions and linear layers decay; biases and batch norm do not; the quantisers'
    parameters do not either, and have a learning rate of their own. A group keeps the learning rate
    of its first step as ``start``.
    """
    quantizers = {
        parameter
        for module in model.modules()
        if isinstance(module, WeightQuantizer | ActivationQuantizer)
        for parameter in module.parameters()
    }
    others = [parameter for parameter in model.parameters() if parameter not in quantizers]
    groups = [
        {
            "params": [parameter for parameter in others if parameter.ndim > 1],
            "lr": stage.learning_rate,
            "weight_decay": stage.weight_decay,
        },
        {
            "params": [parameter for parameter in others if parameter.ndim <= 1],
            "lr": stage.learning_rate,
            "weight_decay": 0.0,
        },
    ]
    if isinstance(stage, Finetuning):
        groups.append(
            {
                "params": [
                    parameter for parameter in model.parameters() if parameter in quantizers
                ],
                "lr": stage.quantizer_learning_rate,
                "weight_decay": 0.0,
            }
        )
    for group in groups:
        group["start"] = group["lr"]
    match rule:
        case Optimizer.SGD:
            return torch.optim.SGD(groups, momentum=MOMENTUM, nesterov=True)
        case Optimizer.ADAMW:
            return torch.optim.AdamW(groups)


def cosine(progress: float) -> float:
    """Return the factor of the learning rate after ``progress`` (0..1) of a stage: from 1 to 0."""
    return 0.5 * (1 + math.cos(math.pi * progress))


def set_progress(optimizer: torch.optim.Optimizer, progress: float) -> None:
    """Set the learning rates for ``progress`` (0..1) of the stage."""
    for group in optimizer.param_groups:
        group["lr"] = group["start"] * cosine(progress)
