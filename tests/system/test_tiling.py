# SPDX-License-Identifier: Apache-2.0
"""Networks whose tensors exceed feature memory: Verilog, golden models, predicted cycles agree."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tritone.compiler import compile_network, pack_images, predict
from tritone.golden import layers
from tritone.graph import Network, PoolKind
from tritone.spec.isa import HEADER, LOAD, Base, MemoryId, Opcode
from tritone.spec.machine import MachineConfig
from tritone.spec.program import Program
from tritone.spec.regmap import Status
from tritone_sim.execution import execute
from tritone_sim.job import Pass, Stall
from tritone_sim.verification import program_job, verify

# Two output groups share a channel word; a group holds 8 rows of 64 pixels of 16 channels.
SMALL = MachineConfig(
    name="small_maps",
    rows=16,
    columns=8,
    pixels=2,
    requantizer_slots=4,
    feature_words=128,
    weight_words=512,
    parameter_words=64,
    instruction_words=8192,
    gather_width=128,
)
RING = (1, 1, 1, 1)


def _picture(step: Any, spec: Any, network_of_steps: Callable[..., Network]) -> Network:
    """A ResNet of 64x64 pixels: two blocks, the second one with stride 2 and a projection."""

    def conv(out: int, stride: int = 1, zero: int = 0) -> Any:
        return spec(out=out, stride=stride, pad=RING, zero=zero)

    steps = [
        step(spec=spec(out=16, pad=RING, codebook="int8", bits=8, zero=64), reads=-1),
        step(spec=conv(16), reads=0),
        step(spec=conv(16), reads=1, adds=0),
        step(spec=conv(32, stride=2), reads=2),
        step(spec=spec(out=32, kernel=(1, 1), stride=2, zero=128), reads=2),
        step(spec=conv(32), reads=3, adds=4),
        step(spec=spec(kernel=(3, 3), stride=2, pad=RING, kind=PoolKind.MAX), reads=5),
        step(spec=conv(48, stride=2), reads=6),
        step(spec=spec(kernel=(8, 8), kind=PoolKind.AVERAGE), reads=7),
        step(spec=spec(out=10, kernel=(1, 1), codebook="int8", bits=8, wide=True), reads=8),
    ]
    return network_of_steps((3, 64, 64), steps, seed=7)


def _networks(
    spec: Any,
    step: Any,
    random_network: Callable[..., Network],
    network_of_steps: Callable[..., Network],
) -> dict[str, Network]:
    return {
        # The image fits neither as windows nor as pixels; rows of 20 and 9 pixels.
        "chain": random_network(
            (3, 33, 20),
            [
                spec(out=40, pad=RING, codebook="int8", bits=8),
                spec(kernel=(2, 2), stride=2, kind=PoolKind.MAX),
                spec(out=33, kernel=(5, 3), pad=(2, 1, 2, 0), codebook="int4"),
                spec(kernel=(3, 3), stride=1, pad=RING, kind=PoolKind.AVERAGE),
                spec(out=24, kernel=(3, 3), stride=2, wide=True),
            ],
        ),
        # Weights of the last layer in slices; depthwise; an image of 20 channels.
        "grouped": random_network(
            (20, 24, 18),
            [
                spec(out=40, pad=RING, groups=20),
                spec(out=40, pad=RING, groups=40, stride=2),
                spec(out=96, kernel=(3, 3)),
            ],
        ),
        # A shortcut with a channel offset and stride 2, and one of equal shape.
        "residual": network_of_steps(
            (8, 30, 30),
            [
                step(spec=spec(out=16, pad=RING), reads=-1),
                step(spec=spec(out=32, stride=2, pad=RING), reads=0),
                step(spec=spec(out=32, pad=RING), reads=1, adds=0, stride=2, offset=8),
                step(spec=spec(out=8, pad=RING), reads=2),
                step(spec=spec(out=32, pad=RING, zero=64), reads=3, adds=2),
            ],
            seed=3,
        ),
    }


def _moved(program: Program) -> int:
    """Return how many LOADs bring parts of tensors that the machine has stored itself."""
    opcodes = HEADER.fields[0].high
    loads = [
        LOAD.unpack(word) for word in program.instruction_words() if word & opcodes == Opcode.LOAD
    ]
    features = (MemoryId.FEATURE_0, MemoryId.FEATURE_1)
    return sum(f["source"] == Base.PROGRAM and f["memory"] in features for f in loads)


def _require_equal(network: Network, model: Any, images: int, folder: Path) -> Program:
    """Check every value of every tensor, and the cycles."""
    program = compile_network(network, SMALL)
    shape = (images, *network.tensors[network.input].shape)
    pixels = np.random.default_rng(5).integers(0, 256, shape).astype(np.uint8)
    found = verify(model, program, pack_images(pixels, program), folder)
    assert str(found.comparison.divergence) == "None"
    assert found.logit_mismatches == 0
    expected = layers.run(network, pixels)
    assert (found.logits == expected[network.output].reshape(images, -1)).all()
    assert found.free.cycles == predict(program, images).cycles
    return program


@pytest.mark.parametrize("name", ["chain", "grouped", "residual"])
def test_striped_networks_are_equal(
    name: str,
    machine_model: Callable[[MachineConfig], Any],
    spec: Any,
    step: Any,
    random_network: Callable[..., Network],
    network_of_steps: Callable[..., Network],
    tmp_path: Path,
) -> None:
    """Every value of every tensor and the cycles of three images."""
    network = _networks(spec, step, random_network, network_of_steps)[name]
    program = _require_equal(network, machine_model(SMALL), 3, tmp_path)
    assert _moved(program)
    assert any(len(entry["parts"]) > 1 for entry in program.metadata["tensors"])


def test_a_picture_is_equal(
    machine_model: Callable[[MachineConfig], Any],
    spec: Any,
    step: Any,
    network_of_steps: Callable[..., Network],
    tmp_path: Path,
) -> None:
    """64x64 pixels through residual blocks: a tensor takes 8 times the words of a group."""
    network = _picture(step, spec, network_of_steps)
    program = _require_equal(network, machine_model(SMALL), 1, tmp_path)
    assert _moved(program) > 50


def test_a_bus_that_pauses_gives_the_same(
    machine_model: Callable[..., Any],
    spec: Any,
    step: Any,
    random_network: Callable[..., Network],
    network_of_steps: Callable[..., Network],
    tmp_path: Path,
) -> None:
    """Transfers of any length beside the layers: nothing is read or replaced too early."""
    network = _networks(spec, step, random_network, network_of_steps)["residual"]
    program = compile_network(network, SMALL)
    shape = (2, *network.tensors[network.input].shape)
    images = np.random.default_rng(3).integers(0, 256, shape).astype(np.uint8)
    stalls = [Stall(probability=each, seed=1) for each in (0.02, 0.7)]
    passes = [Pass(first=0, images=2, stall=each) for each in (None, *stalls)]
    job = program_job(program, pack_images(images, program), passes)
    outcomes = execute(machine_model(SMALL), job, tmp_path)
    free, *paused = outcomes
    assert all(outcome.status == Status.DONE for outcome in outcomes)
    bound = predict(program, 2).cycles
    assert free.cycles == bound
    assert bound <= paused[0].cycles < paused[1].cycles
    assert all(outcome.results == free.results for outcome in paused)
