# SPDX-License-Identifier: Apache-2.0
"""Optimisers, their parameter groups and the learning rate's schedule."""

from __future__ import annotations

import math

import torch
from torch import nn

from tritone.qat.activations import ActivationQuantizer
from tritone.qat.quantizers import WeightQuantizer
from tritone.qat.recipe import ExactTuning, Finetuning, Optimizer, Pretraining, Schedule

__all__ = ["build_optimizer", "learning_rate_factor", "set_progress"]

MOMENTUM = 0.9

# One cycle (Smith, Topin, arXiv 1708.07120), as torch's OneCycleLR has it: this part of the stage
# rises from 1/25 of the largest rate, the rest falls to 1/250000.
RISE = 0.3
LOW = 1 / 25
LAST = LOW / 1e4


def build_optimizer(
    rule: Optimizer,
    model: nn.Module,
    stage: Pretraining | Finetuning | ExactTuning,
    activation_decay: float = 0.0,
) -> torch.optim.Optimizer:
    """Return an optimiser with three groups of parameters.

    Weights of convolutions and linear layers decay; biases and batch norm do not; the quantisers'
    parameters do not either, and have a learning rate of their own. A group keeps the learning rate
    of the schedule's factor 1 as ``start``.

    Parameters
    ----------
    activation_decay : weight decay of the activation quantisers, then a group of their own.
    """
    # An adapter inside of an activation quantiser has weights and biases like a layer.
    activations = {
        parameter
        for module in model.modules()
        if isinstance(module, ActivationQuantizer)
        for parameter in module.parameters(recurse=False)
    }
    quantizers = activations | {
        parameter
        for module in model.modules()
        if isinstance(module, WeightQuantizer)
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
        decayed = activations if activation_decay else set()
        for members, decay in ((quantizers - decayed, 0.0), (decayed, activation_decay)):
            if members:
                groups.append(
                    {
                        "params": [each for each in model.parameters() if each in members],
                        "lr": stage.quantizer_learning_rate,
                        "weight_decay": decay,
                    }
                )
    for group in groups:
        group["start"] = group["lr"]
    match rule:
        case Optimizer.SGD:
            return torch.optim.SGD(groups, momentum=MOMENTUM, nesterov=True)
        case Optimizer.ADAMW:
            return torch.optim.AdamW(groups)


def _anneal(start: float, end: float, progress: float) -> float:
    return end + (start - end) * 0.5 * (1 + math.cos(math.pi * progress))


def learning_rate_factor(schedule: Schedule, progress: float) -> float:
    """Return the factor of the learning rate after ``progress`` (0..1) of a stage."""
    match schedule:
        case Schedule.COSINE:
            return _anneal(1.0, 0.0, progress)
        case Schedule.ONE_CYCLE if progress < RISE:
            return _anneal(LOW, 1.0, progress / RISE)
        case Schedule.ONE_CYCLE:
            return _anneal(1.0, LAST, (progress - RISE) / (1 - RISE))


def set_progress(optimizer: torch.optim.Optimizer, schedule: Schedule, progress: float) -> None:
    """Set the learning rates for ``progress`` (0..1) of the stage."""
    for group in optimizer.param_groups:
        group["lr"] = group["start"] * learning_rate_factor(schedule, progress)
