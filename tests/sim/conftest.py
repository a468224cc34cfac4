# SPDX-License-Identifier: Apache-2.0
"""The smallest machine, a program for it, and what the golden machine makes of that."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tritone.compiler import compile_network, pack_images
from tritone.golden.machine import GoldenMachine
from tritone.graph import Network
from tritone.spec.machine import MachineConfig, preset
from tritone.spec.program import Program
from tritone_sim.build import Model

COUNT = 3


@dataclass(frozen=True)
class Workload:
    """Images for the smallest machine and what must come out.

    Parameters
    ----------
    model : the machine's compiled Verilog.
    network, program : what it runs, before and behind the compiler.
    images, packed : raw bytes (image, channel, y, x), and as the machine reads them.
    dumps, results : what it must write, for each image.
    """

    model: Model
    network: Network
    program: Program
    images: np.ndarray
    packed: bytes
    dumps: Sequence[bytes]
    results: Sequence[bytes]


@pytest.fixture(scope="session")
def workload(machine_model: Callable[[MachineConfig], Any], every_operator: Network) -> Workload:
    """Three random images through a network with every operator."""
    machine = preset("tiny")
    program = compile_network(every_operator, machine)
    shape = every_operator.tensors[every_operator.input].shape
    images = np.random.default_rng(4).integers(0, 256, (COUNT, *shape)).astype(np.uint8)
    packed = pack_images(images, program)
    golden, size = GoldenMachine(program), program.metadata["image"]["bytes"]
    runs = [golden.execute(packed[index * size : (index + 1) * size]) for index in range(COUNT)]
    return Workload(
        model=machine_model(machine),
        network=every_operator,
        program=program,
        images=images,
        packed=packed,
        dumps=[b"".join(run.dumps) for run in runs],
        results=[run.result for run in runs],
    )


@pytest.fixture(scope="session")
def bare(bare_model: Callable[[MachineConfig], Path], workload: Workload) -> Path:
    """The program that runs the workload's machine without cocotb."""
    return bare_model(workload.program.machine)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a simulation's files go."""
    return tmp_path / "simulation"
