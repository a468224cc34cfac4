# SPDX-License-Identifier: Apache-2.0
"""Networks whose constants exceed the chip: Verilog, golden models and predicted cycles agree."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tritone.compiler import compile_network, pack_images, predict
from tritone.golden import layers
from tritone.graph import Network, PoolKind
from tritone.spec.isa import HEADER, LOAD, Base, Opcode
from tritone.spec.machine import MachineConfig
from tritone_sim.verification import verify

# Two output groups share a channel word; 4 output groups of parameters.
SMALL = MachineConfig(
    name="small",
    rows=16,
    columns=8,
    pixels=2,
    requantizer_slots=4,
    weight_words=128,
    parameter_words=16,
    instruction_words=1024,
)


def _networks(
    spec: Any, random_network: Callable[..., Network], residual_blocks: Callable[..., Network]
) -> dict[str, Network]:
    ring = (1, 1, 1, 1)
    return {
        "chain": random_network(
            (3, 7, 9),
            [
                spec(out=40, pad=ring),
                spec(kernel=(2, 2), stride=2, kind=PoolKind.MAX),
                spec(out=33, pad=ring, codebook="int4"),
                spec(kernel=(3, 3), stride=1, kind=PoolKind.AVERAGE),
                spec(out=80, kernel=(1, 1), groups=1),
                spec(out=10, kernel=(1, 2), codebook="int3", bits=8, wide=True),
            ],
        ),
        "grouped": random_network(
            (20, 6, 6), [spec(out=40, pad=ring, groups=20), spec(out=48, kernel=(1, 1), groups=4)]
        ),
        "identity": residual_blocks("identity", 1),
        "project": residual_blocks("project", 2, channels=16),
    }


@pytest.mark.parametrize("name", ["chain", "grouped", "identity", "project"])
def test_streamed_networks_are_equal(
    name: str,
    machine_model: Callable[[MachineConfig], Any],
    spec: Any,
    random_network: Callable[..., Network],
    residual_blocks: Callable[..., Network],
    tmp_path: Path,
) -> None:
    """Every value of every tensor and the cycles of four images."""
    network = _networks(spec, random_network, residual_blocks)[name]
    program = compile_network(network, SMALL)
    opcodes = HEADER.fields[0].high
    loads = [
        LOAD.unpack(word) for word in program.instruction_words() if word & opcodes == Opcode.LOAD
    ]
    again = [each["offset"] for each in loads if each["source"] == Base.PROGRAM]
    assert len(set(again)) < len(again)
    shape = (4, *network.tensors[network.input].shape)
    images = np.random.default_rng(5).integers(0, 256, shape).astype(np.uint8)
    found = verify(machine_model(SMALL), program, pack_images(images, program), tmp_path)
    assert str(found.comparison.divergence) == "None"
    assert found.logit_mismatches == 0
    expected = layers.run(network, images)
    assert (found.logits == expected[network.output].reshape(4, -1)).all()
    assert found.free.cycles == predict(program, 4).cycles
