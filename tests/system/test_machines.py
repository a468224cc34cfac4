# SPDX-License-Identifier: Apache-2.0
"""The Verilog equals the golden machine, value by value, on machines of several shapes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tritone.compiler import compile_network, pack_images
from tritone.golden import fast, layers
from tritone.graph import Network
from tritone.spec.machine import MachineConfig, preset
from tritone_sim.verification import Verification, verify

# C < R: two output groups share a word, so lanes of one must survive the other's write.
HALF = MachineConfig(name="half", rows=16, columns=8, pixels=2, requantizer_slots=4)
# Both sizes of array at one, two and four pixels.
NAMES = ("tiny", "tiny-p2", "tiny-p4", "ecp5_25", "demo", "ecp5_85")
MACHINES = [*(preset(name) for name in NAMES), HALF]
BY_NAME = [pytest.param(machine, id=machine.name) for machine in MACHINES]


def images(network: Network, count: int, seed: int) -> np.ndarray:
    """Return random raw bytes (image, channel, y, x)."""
    shape = network.tensors[network.input].shape
    return np.random.default_rng(seed).integers(0, 256, (count, *shape)).astype(np.uint8)


def run(
    network: Network, machine: MachineConfig, model: Any, count: int, folder: Path
) -> Verification:
    """Compile and run ``network`` on random images."""
    program = compile_network(network, machine)
    program.save(folder / "program.bin")
    packed = pack_images(images(network, count, seed=2), program)
    return verify(model, program, packed, folder)


def test_the_shapes_are_those_promised() -> None:
    """(R, C) of (8, 8) and (16, 16), each with P of 1, 2 and 4."""
    shapes = {(each.rows, each.columns, each.pixels) for each in MACHINES}
    assert shapes >= {(size, size, pixels) for size in (8, 16) for pixels in (1, 2, 4)}


@pytest.mark.parametrize("machine", BY_NAME)
def test_every_tensor_is_equal(
    machine: MachineConfig,
    machine_model: Callable[[MachineConfig], Any],
    every_operator: Network,
    tmp_path: Path,
) -> None:
    """Verilog, golden machine and golden layers agree in every value of every tensor.

    The first images run with the memories of a fresh machine, the second pass with those that the
    first has left, without dumps; its logits must not differ.
    """
    count = 2
    found = run(every_operator, machine, machine_model(machine), count, tmp_path)
    assert str(found.comparison.divergence) == "None"
    assert found.comparison.mismatches == 0
    assert found.logit_mismatches == 0
    sizes = [tensor.size for tensor in every_operator.tensors.values()]
    assert found.comparison.values == count * sum(sizes[1:])
    assert [tensor.size for tensor in found.tensors] == sizes[1:]
    expected = layers.run(every_operator, images(every_operator, count, seed=2))
    assert (found.logits == expected[every_operator.output].reshape(count, -1)).all()
    assert found.free.fingerprint == machine.fingerprint
    (dumped,) = found.dumped
    assert len(dumped.write_backs) == count * sum(each.write_backs for each in found.tensors)


def test_the_dumps_follow_from_the_files_alone(
    machine_model: Callable[[MachineConfig], Any], every_operator: Network, tmp_path: Path
) -> None:
    """Another process gets each tensor's SHA-256 from program.bin and the image bytes."""
    found = run(every_operator, HALF, machine_model(HALF), 2, tmp_path)
    command = [sys.executable, "-m", "tritone.golden", "program.bin", "images.bin"]
    printed = subprocess.run(command, cwd=tmp_path, capture_output=True, check=True).stdout
    hashes = {each["name"]: each["sha256"] for each in json.loads(printed)["tensors"]}
    assert hashes == found.comparison.tensor_sha256


@pytest.mark.parametrize("seed", range(16))
def test_random_networks_are_equal(
    seed: int,
    machine_model: Callable[[MachineConfig], Any],
    random_chain: Callable[[int], Network],
    tmp_path: Path,
) -> None:
    """Random kernels, strides, paddings, zeros, codebooks and bits, on two pixels at once."""
    network, machine = random_chain(seed), preset("tiny-p2")
    found = run(network, machine, machine_model(machine), 1, tmp_path)
    assert str(found.comparison.divergence) == "None"
    expected = fast.run(network, images(network, 1, seed=2), logits_only=True)[network.output]
    assert (found.logits == expected.reshape(1, -1)).all()


@pytest.mark.parametrize("machine", [preset("tiny-p2"), HALF], ids=lambda machine: machine.name)
def test_concatenations_are_equal(
    machine: MachineConfig,
    machine_model: Callable[[MachineConfig], Any],
    random_joined: Callable[..., Network],
    tmp_path: Path,
) -> None:
    """Parts written beside each other; a depthwise layer, a pool and an add that read them."""
    for seed in range(2):
        network = random_joined(seed)
        found = run(network, machine, machine_model(machine), 2, tmp_path)
        assert str(found.comparison.divergence) == "None"
        expected = layers.run(network, images(network, 2, seed=2))[network.output]
        assert (found.logits == expected.reshape(2, -1)).all()


RESIDUAL_MACHINES = [preset("tiny"), preset("tiny-p2"), preset("tiny-p4"), HALF]


@pytest.mark.parametrize("kind", ["identity", "pad", "project"])
@pytest.mark.parametrize("machine", RESIDUAL_MACHINES, ids=lambda machine: machine.name)
def test_residual_networks_are_equal(
    machine: MachineConfig,
    kind: str,
    machine_model: Callable[[MachineConfig], Any],
    residual_blocks: Callable[..., Network],
    tmp_path: Path,
) -> None:
    """Shortcuts of equal shape, with padded channels and with a convolution of their own."""
    for seed in range(3):
        network = residual_blocks(kind, seed)
        found = run(network, machine, machine_model(machine), 2, tmp_path)
        assert str(found.comparison.divergence) == "None"
        assert found.logit_mismatches == 0
        expected = layers.run(network, images(network, 2, seed=2))[network.output]
        assert (found.logits == expected.reshape(2, -1)).all()


@pytest.mark.parametrize("seed", range(6))
def test_networks_without_multipliers_are_equal(
    seed: int,
    machine_model: Callable[[MachineConfig], Any],
    every_operator: Network,
    random_chain: Callable[[int], Network],
    residual_blocks: Callable[..., Network],
    half_octaves: Callable[..., Network],
    tmp_path: Path,
) -> None:
    """Half octaves on the machine that has nothing else, in networks of every kind."""
    machine = preset("tiny_half")
    kind = ("identity", "pad", "project")[seed % 3]
    networks = [random_chain(seed), residual_blocks(kind, seed), every_operator]
    for number, drawn in enumerate(networks[: 3 if seed == 0 else 2]):
        network = half_octaves(drawn, seed)
        folder = tmp_path / str(number)
        folder.mkdir()
        found = run(network, machine, machine_model(machine), 2, folder)
        assert str(found.comparison.divergence) == "None"
        assert found.comparison.mismatches == 0
        assert found.logit_mismatches == 0
        expected = layers.run(network, images(network, 2, seed=2))[network.output]
        assert (found.logits == expected.reshape(2, -1)).all()
