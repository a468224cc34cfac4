# SPDX-License-Identifier: Apache-2.0
"""Distillation: the quantised network learns from the full-precision one too.

With p the logits of the full-precision network (the teacher) and q those of the quantised one,

    loss = (1 - w) * cross_entropy(q, labels) + w * T**2 * KL(softmax(p/T) || softmax(q/T))

(Hinton, Vinyals, Dean, arXiv 1503.02531; for quantised networks Mishra, Marr, arXiv 1711.05852).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from tritone.qat.arithmetic import Arithmetic, autocast
from tritone.qat.modules import real_input

__all__ = ["Distillation", "Loss", "distillation_loss", "label_loss"]

# The loss of logits: images (bytes), their logits and labels.
Loss = Callable[[Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True, kw_only=True)
class Distillation:
    """How much of the loss of the fine-tuning comes from the teacher.

    Parameters
    ----------
    weight : w, 0 (none of it) to 1 (all).
    temperature : T.
    """

    weight: float = 0.0
    temperature: float = 4.0

    def __post_init__(self) -> None:
        if not 0 <= self.weight <= 1:
            raise ValueError(f"Recipe distillation weight must be in 0..1, not {self.weight!r}")
        if not self.temperature > 0:
            raise ValueError(
                f"Recipe distillation temperature must be positive, not {self.temperature!r}"
            )


def label_loss(images: Tensor, logits: Tensor, labels: Tensor) -> Tensor:
    """Return the cross entropy with the labels; the images do not matter."""
    return functional.cross_entropy(logits, labels)


def distillation_loss(
    settings: Distillation, teacher: nn.Module, arithmetic: Arithmetic = Arithmetic.FLOAT32
) -> Loss:
    """Return the loss with a teacher, which reads ``(u - 128) / 64`` and is put into evaluation.

    It sees what the quantised network sees: the same crop of the same image. ``arithmetic`` is that
    of its convolutions.
    """
    if not settings.weight:
        return label_loss
    teacher.eval()
    weight, temperature = settings.weight, settings.temperature

    def loss(images: Tensor, logits: Tensor, labels: Tensor) -> Tensor:
        with torch.no_grad():
            with autocast(arithmetic, images.device):
                taught: Tensor = teacher(real_input(images))
            # Outside of autocast results are of the type of what they are made of.
            target = functional.log_softmax(taught.to(logits.dtype) / temperature, 1)
        given = functional.log_softmax(logits / temperature, 1)
        distance = functional.kl_div(given, target, reduction="batchmean", log_target=True)
        learnt = functional.cross_entropy(logits, labels)
        return (1 - weight) * learnt + weight * temperature**2 * distance

    return loss
