# SPDX-License-Identifier: Apache-2.0
"""Distillation."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from tritone.qat.distillation import Distillation, distillation_loss, label_loss

TEACHER = [[2.0, 0.5], [-1.0, 1.0]]
STUDENT = [[1.0, 0.25], [0.5, -0.5]]
LABELS = [0, 1]
IMAGES = torch.zeros(2, 1, 1, 1, dtype=torch.uint8)


class Fixed(nn.Module):
    """A teacher with known logits, which notes what it sees."""

    def __init__(self) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(TEACHER, dtype=torch.float64))
        self.seen: list[float] = []

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        assert not self.training
        self.seen += images.flatten().tolist()
        return self.logits


def softmax(logits: list[float], temperature: float) -> list[float]:
    powers = [math.exp(each / temperature) for each in logits]
    return [power / sum(powers) for power in powers]


@pytest.mark.parametrize("weight", [0.25, 1.0])
@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_loss(weight: float, temperature: float) -> None:
    """The equation written out in float64, and its gradient by differences.

    Central differences of h = 1e-5 leave an error of h**2 and 1e-16/h: 1e-8 covers both.
    """

    def expected(student: list[list[float]]) -> float:
        total = 0.0
        for p, q, label in zip(TEACHER, student, LABELS, strict=True):
            target, given = softmax(p, temperature), softmax(q, temperature)
            distance = sum(t * math.log(t / g) for t, g in zip(target, given, strict=True))
            total += (1 - weight) * -math.log(softmax(q, 1)[label])
            total += weight * temperature**2 * distance
        return total / 2

    teacher = Fixed()
    loss = distillation_loss(Distillation(weight=weight, temperature=temperature), teacher)
    logits = torch.tensor(STUDENT, dtype=torch.float64, requires_grad=True)
    value = loss(IMAGES, logits, torch.tensor(LABELS))
    value.backward()
    assert abs(value.item() - expected(STUDENT)) < 1e-12
    assert teacher.seen == [-2.0, -2.0]  # bytes of 0
    assert teacher.logits.grad is None
    assert logits.grad is not None
    for i in range(2):
        for j in range(2):
            sides = []
            for h in (1e-5, -1e-5):
                moved = [list(row) for row in STUDENT]
                moved[i][j] += h
                sides.append(expected(moved))
            assert abs(logits.grad[i, j].item() - (sides[0] - sides[1]) / 2e-5) < 1e-8


def test_without_weight_there_is_no_teacher() -> None:
    """The teacher is not even run."""
    assert distillation_loss(Distillation(), Fixed()) is label_loss


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("weight", 1.5, r"^Recipe distillation weight must be in 0\.\.1, not 1\.5$"),
        ("temperature", 0.0, r"^Recipe distillation temperature must be positive, not 0\.0$"),
    ],
)
def test_refuses(key: str, value: float, message: str) -> None:
    """Settings without meaning."""
    with pytest.raises(ValueError, match=message):
        Distillation(**{key: value})
