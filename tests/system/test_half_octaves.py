# SPDX-License-Identifier: Apache-2.0
"""From training to Verilog without a multiplier: every tensor of a residual network is equal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tritone.compiler import compile_network, pack_images
from tritone.graph import Convolution
from tritone.qat.convert import convert
from tritone.qat.export import export
from tritone.qat.freeze import freeze
from tritone.qat.frozen import FrozenModel
from tritone.qat.precision import Multipliers, Precision
from tritone.spec.machine import MachineConfig, preset
from tritone_sim.verification import verify

SHAPE = (1, 8, 8)


class Residual(nn.Module):
    """A shortcut of equal shape, one that convolves, an average of 4x4 pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm1 = nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.inner, self.norm5 = nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.same, self.norm2 = nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.deep, self.norm3 = nn.Conv2d(8, 16, 3, stride=2, padding=1), nn.BatchNorm2d(16)
        self.side, self.norm4 = nn.Conv2d(8, 16, 1, stride=2), nn.BatchNorm2d(16)
        self.pool = nn.AvgPool2d(4)
        self.logits = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.norm1(self.first(x)))  # (N, 8, 8, 8)
        y = functional.relu(self.norm5(self.inner(x)))
        x = functional.relu(self.norm2(self.same(y)) + x)
        x = functional.relu(self.norm3(self.deep(x)) + self.norm4(self.side(x)))  # (N, 16, 4, 4)
        return self.logits(self.pool(x).flatten(1))


def noise(count: int, seed: int) -> Tensor:
    """Return random images."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, *SHAPE), generator=generator).to(torch.uint8)


@pytest.fixture(scope="module")
def frozen() -> FrozenModel:
    """The network after a few steps of training, some of its slopes negative."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(9)
        module = Residual()
    with torch.no_grad():
        module.norm1.weight[::3] = -0.8
        module.norm3.weight[::4] = -1.1
    precision = Precision(weights="post4", act_bits=4, multipliers=Multipliers.HALF_OCTAVE)
    model = convert(module, SHAPE, precision)
    model.train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9)
    for step in range(12):
        batch = noise(32, step)
        bright = (batch.float().mean(dim=(1, 2, 3)) * 5 / 256).long()
        optimizer.zero_grad()
        functional.cross_entropy(model(batch), bright).backward()
        optimizer.step()
    return freeze(model.eval(), noise(64, 100))


def test_every_tensor_is_equal(
    frozen: FrozenModel, machine_model: Callable[[MachineConfig], Any], tmp_path: Path
) -> None:
    """Frozen PyTorch, the golden machine and the Verilog of a machine without multipliers."""
    network = export(frozen, "residual")
    layers = [node for node in network.nodes if isinstance(node, Convolution)]
    assert all(node.half_octaves is not None for node in layers)
    assert {int(k) & 1 for node in layers for k in node.half_octaves} == {0, 1}
    machine = preset("tiny_half")
    program = compile_network(network, machine)
    images = noise(3, 200)
    found = verify(machine_model(machine), program, pack_images(images.numpy(), program), tmp_path)
    assert str(found.comparison.divergence) == "None"
    assert found.comparison.mismatches == 0
    assert found.logit_mismatches == 0
    logits = frozen(images).numpy()
    assert (found.logits == logits).all()
    assert len(np.unique(logits)) > 8
