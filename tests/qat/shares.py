# SPDX-License-Identifier: Apache-2.0
"""What each of two processes makes of its part of a batch: as a program it is one of them."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from tritone.qat.activations import ActivationQuantizer
from tritone.qat.estimators import NoiseProxy
from tritone.qat.parallel import SharedBatchNorm2d, add_up, gather, joined, rank, size, wrap
from tritone.qat.recipe import load_recipe
from tritone.qat.schedules import set_activation_part
from tritone.qat.steering import Steering

# Of two processes one has 4 of them and the other 3.
IMAGES = 7


def batch() -> tuple[Tensor, Tensor]:
    """Return images and the weights of what is made of each of their values, float64."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(IMAGES, 3, 4, 4, generator=generator, dtype=torch.float64) * 3 + 1
    return x, torch.randn(x.shape, generator=generator, dtype=torch.float64)


def measured(norm: nn.BatchNorm2d) -> dict[str, Tensor]:
    """Return the statistics that a batch norm has behind a training, of batches of 4 and 3."""
    quick = load_recipe("digits_quick")
    recipe = replace(quick, batch=4, finetune=replace(quick.finetune, norm_batches=2))
    model: Any = norm.double()
    optimizer = torch.optim.SGD([torch.zeros(1)])
    labels, generator = torch.zeros(IMAGES), torch.Generator()
    images = batch()[0]
    Steering(recipe, model, optimizer, images, labels, lambda x: x, generator).after_training()
    return {name: value.clone() for name, value in norm.named_buffers()}


def noises() -> list[Tensor]:
    """Return noise as weights get it, and as images do."""
    zero = torch.zeros(5)
    return [NoiseProxy(1, of_images)(zero, zero, -1, 1) for of_images in (False, True)]


def _take_part() -> list[object]:
    x, weights = batch()
    mine, own = x[rank() :: size()].clone().requires_grad_(), weights[rank() :: size()]
    norm = SharedBatchNorm2d(3).double()
    (norm(mine) * own).sum().backward()
    assert torch.equal(gather(x[rank() :: 2]), torch.cat([x[::2], x[1::2]]))
    assert add_up(rank() + 1.0, 10.0) == [3.0, 20.0]
    quantizer = ActivationQuantizer(4)
    set_activation_part(quantizer, len(mine) / IMAGES)
    quantizer(mine.detach().float()).values(4).backward(own.float())
    wrapped: Any = wrap(nn.Sequential(nn.BatchNorm2d(3)), unused=False)
    assert type(wrapped.module[0]) is SharedBatchNorm2d
    return [
        mine.grad,
        norm.weight.grad,
        norm.running_mean,
        norm.running_var,
        quantizer.grid_step.detach(),
        quantizer.grid_step.grad,
        measured(SharedBatchNorm2d(3)),
        noises(),
    ]


if __name__ == "__main__":
    with joined(torch.device("cpu")):
        torch.save(_take_part(), f"{sys.argv[1]}/{rank()}.pt")
