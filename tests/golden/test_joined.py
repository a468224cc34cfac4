# SPDX-License-Identifier: Apache-2.0
"""Concatenations: the layers, for whole batches too, and the machine from a program's bytes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tritone.compiler import compile_network, pack_images
from tritone.golden import fast, layers
from tritone.golden.machine import GoldenMachine
from tritone.graph import Network
from tritone.spec.machine import MachineConfig, preset

MACHINES = [
    preset("tiny"),
    preset("tiny-p4"),
    MachineConfig(name="half", rows=16, columns=8, pixels=2, requantizer_slots=4),
]


def _images(network: Network, seed: int) -> np.ndarray:
    shape = network.tensors[network.input].shape
    return np.random.default_rng(seed).integers(0, 256, (2, *shape)).astype(np.uint8)


@pytest.mark.parametrize("seed", range(4))
def test_joined_tensors_have_the_channels_of_their_parts(
    seed: int, random_joined: Callable[..., Network]
) -> None:
    """One behind the other, those of nested parts too; fast is the same."""
    network = random_joined(seed)
    images = _images(network, seed)
    found, quick = layers.run(network, images), fast.run(network, images)
    assert set(found) == set(quick) == set(network.tensors)
    for name, value in found.items():
        assert (quick[name] == value).all(), name
    whole = found["three"]
    for first, name in ((0, "stem"), (16, "narrow"), (32, "wide")):
        part = found[name]
        assert (whole[:, first : first + part.shape[1]] == part).all()
    assert whole.shape[1] == 32 + found["wide"].shape[1]


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
@pytest.mark.parametrize("seed", range(6))
def test_the_machine_equals_the_layers(
    seed: int, machine: MachineConfig, random_joined: Callable[..., Network]
) -> None:
    """Two images in a row, every tensor that a layer makes."""
    network = random_joined(seed)
    program = compile_network(network, machine)
    images = _images(network, seed)
    expected = layers.run(network, images)
    packed, size = pack_images(images, program), program.metadata["image"]["bytes"]
    golden = GoldenMachine(program)
    for index in range(2):
        following = packed[size:] if index == 0 else None
        got = golden.run(packed[index * size : (index + 1) * size], following)
        for entry, tensor in zip(program.metadata["tensors"], got, strict=True):
            assert (tensor == expected[entry["name"]][index]).all(), entry["name"]
