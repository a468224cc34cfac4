# SPDX-License-Identifier: Apache-2.0
"""One training step of a small network, and how far float32 may be off from the exact one."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
import safetensors.numpy
import torch
from rich.console import Console
from torch import Tensor, nn
from torch.nn import functional

from tritone.qat import data
from tritone.qat.models.catalog import MODELS
from tritone.qat.recipe import Optimizer, Recipe, load_recipe
from tritone.qat.train import train

# Of a batch of 8: the shares of two processes are 4 and 3.
IMAGES = 7
CLASSES = 3
# A step of SGD with Nesterov's momentum moves a weight by that much of its gradient.
RATE = 1 + 0.9
UNIT = 2.0**-24


class Small(nn.Module):
    """A convolution with batch norm, an average and a linear layer."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, 4, 3, bias=False)
        self.norm = nn.BatchNorm2d(4)
        self.mean = nn.AvgPool2d(2)
        self.logits = nn.Linear(4, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.norm(self.conv(x)))  # (N, 4, 2, 2)
        return self.logits(self.mean(x).flatten(1))


def write_images(folder: Path) -> data.Dataset:
    """Write random images of 4x4 pixels, all classes among them."""
    random = np.random.RandomState(0)
    images = random.randint(0, 256, (IMAGES, 1, 4, 4)).astype(np.uint8)
    labels = np.arange(IMAGES) % CLASSES
    made = dict(zip(data.KEYS, (images, labels, images, labels), strict=True))
    safetensors.numpy.save_file(made, folder / "few.safetensors")
    return data.Dataset(**made)


def few_images() -> Recipe:
    """Return the recipe: a step in full precision, another one quantised."""
    quick = load_recipe("digits_quick")
    assert quick.pretrain is not None
    return replace(
        quick,
        dataset="few",
        model="small",
        batch=8,
        shift=0,
        optimizer=Optimizer.SGD,
        pretrain=replace(quick.pretrain, epochs=1, learning_rate=1.0, weight_decay=0.0),
        finetune=replace(quick.finetune, epochs=1),
    )


def take(folder: Path, run: Path) -> None:
    """Train on the images of ``folder``."""
    with patch.dict(MODELS, small=Small):
        train(few_images(), run, folder, Console(quiet=True))


def exact_step(model: Small, images: Tensor, labels: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Return the loss, and of every parameter the gradient, in float64, each with a bound.

    The bound is on what float32 gives, in any order of sums, to first order. A sum of n terms is
    off by n * 2**-24 times the sum of their magnitudes at most. What each tensor of the forward
    and of the backward pass is off by, with exact operands, is written out here; what that does to
    loss and gradients is the sum over all elements of it times the magnitude of the derivative
    with respect to the element, which autograd has.
    """
    model = model.double()
    weights = dict(model.named_parameters())
    w, v, norm = weights["conv.weight"], weights["logits.weight"], model.norm
    x = (images.double() - 128) / 64
    count = len(x)
    tensors: list[Tensor] = []
    shifts: list[Tensor] = []

    def shifted(tensor: Tensor) -> Tensor:
        shifts.append(torch.zeros_like(tensor, requires_grad=True))
        tensors.append(tensor + shifts[-1])
        return tensors[-1]

    conv = shifted(functional.conv2d(x, w))  # (N, 4, 2, 2), sums of 9 terms
    centre = conv.mean((0, 2, 3), keepdim=True)
    slope = (conv.var((0, 2, 3), unbiased=False, keepdim=True) + norm.eps).rsqrt()
    unit = (conv - centre) * slope
    gain, start = (p.view(1, -1, 1, 1) for p in (norm.weight, norm.bias))
    normed = shifted(unit * gain + start)
    mean = shifted(functional.relu(normed).mean((2, 3)))  # (N, 4)
    logits = shifted(mean @ v.T + weights["logits.bias"])
    loss = functional.cross_entropy(logits, labels)
    # A term of zero whose derivative is added to the gradient of its tensor.
    pulls = [torch.zeros_like(tensor, requires_grad=True) for tensor in tensors]
    pulled = sum(((p * t).sum() for p, t in zip(pulls, tensors, strict=True)), loss)
    found = torch.autograd.grad(pulled, [*weights.values(), *tensors], create_graph=True)
    gradients = dict(zip(weights, found, strict=False))
    g_conv, g_normed, _, g_logits = (each.detach() for each in found[len(weights) :])

    with torch.no_grad():
        pixels = conv[:, 0].numel()  # 28 terms of each sum of a batch norm
        few = pixels + 12  # and a dozen operations behind them
        rough = few * ((conv.abs() + centre.abs()) * slope * gain.abs() + start.abs())
        outside = gain.abs() * slope * few
        flat = (0, 2, 3)
        around = unit.abs() + (conv.abs() + centre.abs()) * slope  # unit, and what it cancels
        through = g_normed.abs()
        probability = functional.softmax(logits, 1) + functional.one_hot(labels, CLASSES)
        local = [
            9 * functional.conv2d(x.abs(), w.abs()),
            rough,
            6 * functional.relu(normed).mean((2, 3)),
            6 * (mean @ v.abs().T + weights["logits.bias"].abs()),
        ]
        local_gradients = [
            outside
            * (
                through
                + through.mean(flat, keepdim=True)
                + around * (through * around).mean(flat, keepdim=True)
            ),
            4 * through,
            4 * (g_logits.abs() @ v.abs()),
            # exp, sum, division, the weight of the share and the mean over the processes
            12 * probability / count,
        ]
        last = {
            "conv.weight": few
            * torch.einsum(
                "nchw,nihwkl->cikl", g_conv.abs(), x.abs().unfold(2, 3, 1).unfold(3, 3, 1)
            ),
            "norm.weight": few * (through * around).sum(flat),
            "norm.bias": few * through.sum(flat),
            "logits.weight": few * g_logits.abs().T @ mean,
            "logits.bias": few * g_logits.abs().sum(0),
        }
        # log of a sum of exponentials, and the mean
        own_loss = (12 + count) * (loss + logits.abs().amax(1).mean())
    variables, bounds = [*shifts, *pulls], [*local, *local_gradients]

    def bounded(value: Tensor) -> Tensor:
        """Return the bound of what the tensors before ``value`` do to it."""
        offs = []
        for each in value.flatten():
            moved = torch.autograd.grad(each, variables, retain_graph=True, allow_unused=True)
            pairs = zip(moved, bounds, strict=True)
            offs.append(sum((d.abs() * off).sum() for d, off in pairs if d is not None))
        return torch.stack(offs).view_as(value)

    # What float32 might clamp otherwise has no bound.
    assert bool((normed.abs() > 2 * UNIT * bounded(normed)).all()), "choose other images"
    result = [(loss.detach(), UNIT * (bounded(loss) + own_loss))]
    for name, gradient in gradients.items():
        result.append((gradient.detach(), UNIT * (bounded(gradient) + last[name])))
    return result


if __name__ == "__main__":
    take(Path(sys.argv[1]), Path(sys.argv[2]))
