# SPDX-License-Identifier: Apache-2.0
"""A network that has every operator, quantised, with statistics from a few random batches."""

from __future__ import annotations

import pytest
import torch
from branches import EVEN_SHAPE, SHAPE, Branches, random_images
from joins import Joins
from torch import Tensor, nn
from torch.nn import functional

from tritone.qat.convert import convert
from tritone.qat.freeze import freeze
from tritone.qat.frozen import FrozenModel
from tritone.qat.modules import QuantizedModel
from tritone.qat.precision import Multipliers, Precision


class Mixed(nn.Module):
    """A signed tensor (bias, no norm, no ReLU), padded pools, strides, two linear layers.

    The average is of 3x3 pixels, or of 2x2: a power of two.
    """

    def __init__(self, mean: int = 3) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 5, 3, padding=1)
        self.largest = nn.MaxPool2d(3, stride=2, padding=1)
        self.second = nn.Conv2d(5, 6, (3, 2), stride=2, padding=(1, 0), bias=False)
        self.norm = nn.BatchNorm2d(6)
        self.mean = nn.AvgPool2d(mean, stride=1, padding=1)
        self.third = nn.Conv2d(6, 4, 1)
        self.norm3 = nn.BatchNorm2d(4)
        self.relu = nn.ReLU()
        self.flat = nn.Flatten()
        self.hidden = nn.Linear(4 * (6 - mean) * (5 - mean), 7)
        self.logits = nn.Linear(7, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.largest(self.first(x))  # (N, 5, 5, 5)
        x = functional.relu(self.norm(self.second(x)))  # (N, 6, 3, 2)
        x = self.relu(self.norm3(self.third(self.mean(x))))  # (N, 4, 3, 2)
        return self.logits(functional.relu(self.hidden(self.flat(x))))


def build_mixed(mean: int) -> nn.Module:
    """Return a network with random weights, two of its slopes negative."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model = Mixed(mean)
    with torch.no_grad():
        model.norm.weight[1] = -0.7
        model.norm3.weight[2] = -1.3
        model.norm3.bias[2] = 0.4
    return model


@pytest.fixture(scope="session")
def mixed() -> nn.Module:
    """The full-precision network."""
    return build_mixed(3)


@pytest.fixture(scope="session")
def mixed_even() -> nn.Module:
    """The same with an average that needs no multiplier."""
    return build_mixed(2)


@pytest.fixture(scope="session")
def images() -> Tensor:
    """40 random images."""
    return random_images(40, SHAPE, 4)


HALF_OCTAVES = Precision(weights="post4", act_bits=4, multipliers=Multipliers.HALF_OCTAVE)


@pytest.fixture(scope="session", params=["post4", "int5", "ternary", "half octaves"])
def quantized(
    request: pytest.FixtureRequest, mixed: nn.Module, mixed_even: nn.Module
) -> QuantizedModel:
    """The quantised network in evaluation mode."""
    half = request.param == "half octaves"
    precision = HALF_OCTAVES if half else Precision(weights=request.param, act_bits=4)
    model = convert(mixed_even if half else mixed, SHAPE, precision)
    model.train()
    for seed in range(10, 15):
        model(random_images(64, SHAPE, seed))
    return model.eval()


@pytest.fixture(scope="session", params=["post4", "int5"])
def branching(request: pytest.FixtureRequest) -> QuantizedModel:
    """A quantised network with shortcuts and groups, in evaluation mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        model = convert(Branches(), SHAPE, Precision(weights=request.param, act_bits=4))
    model.train()
    for seed in range(20, 25):
        model(random_images(64, SHAPE, seed))
    return model.eval()


@pytest.fixture(scope="session")
def joining() -> QuantizedModel:
    """A quantised network with concatenations, in evaluation mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        model = convert(Joins(), SHAPE, Precision(weights="post4", act_bits=4))
    model.train()
    for seed in range(20, 25):
        model(random_images(64, SHAPE, seed))
    return model.eval()


@pytest.fixture(scope="session")
def half_branching() -> QuantizedModel:
    """A quantised network with shortcuts and half octaves; its images are EVEN_SHAPE."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(6)
        model = convert(Branches(), EVEN_SHAPE, HALF_OCTAVES)
    model.train()
    for seed in range(20, 25):
        model(random_images(64, EVEN_SHAPE, seed))
    return model.eval()


@pytest.fixture(scope="session")
def even_images() -> Tensor:
    """40 random images for it."""
    return random_images(40, EVEN_SHAPE, 5)


@pytest.fixture(scope="session")
def frozen_half_branching(half_branching: QuantizedModel, even_images: Tensor) -> FrozenModel:
    """The integer network with shortcuts and half octaves."""
    return freeze(half_branching, even_images)


@pytest.fixture(scope="session")
def frozen_branching(branching: QuantizedModel, images: Tensor) -> FrozenModel:
    """The integer network with shortcuts."""
    return freeze(branching, images)


@pytest.fixture(scope="session")
def frozen(quantized: QuantizedModel, images: Tensor) -> FrozenModel:
    """The integer network."""
    return freeze(quantized, images)
