# SPDX-License-Identifier: Apache-2.0
"""Batch norm's running statistics."""

from __future__ import annotations

import torch
from torch import nn

from tritone.qat.normalization import reestimate


def test_statistics_are_the_mean_over_the_batches() -> None:
    """Mean of the means and of the unbiased variances, of these batches alone."""
    norm = nn.BatchNorm2d(2, momentum=0.3)
    norm(torch.randn(4, 2, 3, 3) + 7)
    batches = [
        torch.randn(4, 2, 3, 3, generator=torch.Generator().manual_seed(seed)) * (1 + seed)
        for seed in range(3)
    ]
    model = nn.Sequential(norm)
    reestimate(model, model, batches)
    means = torch.stack([each.mean((0, 2, 3)) for each in batches]).mean(0)
    variances = torch.stack([each.var((0, 2, 3)) for each in batches]).mean(0)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    assert torch.allclose(norm.running_mean, means, atol=1e-6)
    assert torch.allclose(norm.running_var, variances, rtol=1e-5)
    assert norm.momentum == 0.3
    assert norm.num_batches_tracked == 3
    assert all(parameter.grad is None for parameter in norm.parameters())
