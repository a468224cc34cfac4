# SPDX-License-Identifier: Apache-2.0
"""Predicted cycles are those of the Verilog; on a bus that pauses they are a lower bound."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tritone.compiler import compile_network, describe, pack_images, predict
from tritone.graph import Network
from tritone.spec.machine import preset
from tritone.spec.program import Program
from tritone.spec.regmap import Status
from tritone.spec.timing import INSTRUCTION_CYCLES
from tritone_sim.execution import execute
from tritone_sim.job import Outcome, Pass, Stall
from tritone_sim.verification import program_job

MACHINE = preset("tiny-p4")


def run(network: Network, model: Any, folder: Path, *passes: Pass) -> tuple[Program, list[Outcome]]:
    """Return the program of ``network`` and what came of each pass on random images."""
    program = compile_network(network, MACHINE)
    shape = network.tensors[network.input].shape
    count = max(each.images for each in passes)
    images = np.random.default_rng(3).integers(0, 256, (count, *shape)).astype(np.uint8)
    outcomes = execute(model, program_job(program, pack_images(images, program), passes), folder)
    assert all(outcome.status == Status.DONE for outcome in outcomes)
    return program, outcomes


def test_cycles_are_predicted_exactly(
    machine_model: Callable[..., Any], every_operator: Network, tmp_path: Path
) -> None:
    """1 and 5 images of the size of the digits through every operator."""
    counts = (1, 5)
    passes = [Pass(first=0, images=count) for count in counts]
    program, outcomes = run(every_operator, machine_model(MACHINE), tmp_path, *passes)
    for count, outcome in zip(counts, outcomes, strict=True):
        assert outcome.cycles == predict(program, count).cycles


@pytest.mark.parametrize("seed", range(4))
def test_cycles_of_random_networks(
    seed: int,
    machine_model: Callable[..., Any],
    random_chain: Callable[[int], Network],
    tmp_path: Path,
) -> None:
    """Transfers of all sizes beside layers of all kinds, and pixels that wait for these."""
    network = random_chain(seed)
    program, (outcome,) = run(network, machine_model(MACHINE), tmp_path, Pass(first=0, images=3))
    assert outcome.cycles == predict(program, 3).cycles


@pytest.mark.parametrize("kind", ["identity", "pad"])
def test_cycles_with_shortcuts(
    kind: str,
    machine_model: Callable[..., Any],
    residual_blocks: Callable[..., Network],
    tmp_path: Path,
) -> None:
    """The result is stored beside a layer that reads a shortcut."""
    network = residual_blocks(kind, 1)
    program, (outcome,) = run(network, machine_model(MACHINE), tmp_path, Pass(first=0, images=3))
    assert outcome.cycles == predict(program, 3).cycles


def test_transfers_as_long_as_the_layer_are_hidden(
    machine_model: Callable[..., Any],
    spec: Any,
    random_network: Callable[..., Network],
    tmp_path: Path,
) -> None:
    """One convolution of 8 to 8 channels: images and results pass beside it, in a steady state."""
    network = random_network((8, 8, 16), [spec(out=8, pad=(1, 1, 1, 1))])
    program, (outcome,) = run(network, machine_model(MACHINE), tmp_path, Pass(first=0, images=6))
    prediction = predict(program, 6)
    assert outcome.cycles == prediction.cycles
    (layer,) = describe(program).layers
    assert prediction.image_cycles()[5] == layer.cycles + 2 * INSTRUCTION_CYCLES


def test_a_bus_that_pauses_takes_longer_and_gives_the_same(
    machine_model: Callable[..., Any], every_operator: Network, tmp_path: Path
) -> None:
    """Random pauses on every channel, rare and frequent."""
    stalls = [Stall(probability=each, seed=1) for each in (0.02, 0.4, 0.7)]
    passes = [Pass(first=0, images=2, stall=each) for each in (None, *stalls)]
    program, (free, *paused) = run(every_operator, machine_model(MACHINE), tmp_path, *passes)
    bound = predict(program, 2).cycles
    assert free.cycles == bound
    assert bound <= paused[0].cycles
    assert bound < paused[1].cycles < paused[2].cycles
    assert all(outcome.results == free.results for outcome in paused)
