# SPDX-License-Identifier: Apache-2.0
"""Accuracy."""

from __future__ import annotations

import torch

from tritone.qat.evaluate import BATCH, top1


def test_top1_over_several_batches() -> None:
    """The percentage is over all images, also where the last batch is short."""
    count = 2 * BATCH + 6
    labels = torch.arange(count) % 3
    right = torch.arange(count) < count // 2
    images = torch.where(right, labels, (labels + 1) % 3)
    found = top1(lambda batch: torch.nn.functional.one_hot(batch, 3), images, labels)
    assert found == 100 * (count // 2) / count


def test_lowest_index_wins_a_tie() -> None:
    """As in the machine's host code."""
    images = torch.zeros(2, dtype=torch.long)
    ties = torch.tensor([5, 9, 9])
    assert top1(lambda batch: ties.expand(len(batch), 3), images, torch.tensor([1, 2])) == 50
