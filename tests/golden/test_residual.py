# SPDX-License-Identifier: Apache-2.0
"""Residual networks: the machine, from the bytes, equals the layers, from the graph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tritone.compiler import compile_network, pack_images
from tritone.golden import layers
from tritone.golden.machine import GoldenMachine
from tritone.graph import Network
from tritone.spec.isa import LAYER, Opcode
from tritone.spec.machine import MachineConfig, preset
from tritone.spec.program import Program

MACHINES = [
    preset("tiny"),
    preset("tiny-p2"),
    preset("tiny-p4"),
    MachineConfig(name="half", rows=16, columns=8, pixels=2, requantizer_slots=4),
]


def compare(network: Network, machine: MachineConfig, seed: int) -> Program:
    """Run two images and compare every tensor; return the program."""
    program = compile_network(network, machine)
    shape = network.tensors[network.input].shape
    images = np.random.default_rng(seed).integers(0, 256, (2, *shape)).astype(np.uint8)
    expected = layers.run(network, images)
    packed, size = pack_images(images, program), program.metadata["image"]["bytes"]
    golden = GoldenMachine(program)
    for index in range(2):
        following = packed[size:] if index == 0 else None
        got = golden.run(packed[index * size : (index + 1) * size], following)
        for entry, tensor in zip(program.metadata["tensors"], got, strict=True):
            assert (tensor == expected[entry["name"]][index]).all(), entry["name"]
    return program


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
@pytest.mark.parametrize("kind", ["identity", "pad", "project"])
def test_blocks_are_equal(
    kind: str, machine: MachineConfig, seed: int, residual_blocks: Callable[..., Network]
) -> None:
    """Every value of every tensor, in the order of the graph's channels."""
    channels = 8 if kind == "pad" else 5 + seed
    program = compare(residual_blocks(kind, seed, channels), machine, seed)
    orders = [entry["order"] for entry in program.metadata["tensors"]]
    assert any(orders) == (kind == "pad")


def test_a_shortcut_may_be_the_image(
    step: Any, spec: Any, network_of_steps: Callable[..., Network]
) -> None:
    """Wherever the image of the loop's round lies; a wide output adds too."""
    network = network_of_steps(
        (8, 4, 5),
        [
            step(spec=spec(out=3, pad=(1, 1, 1, 1)), reads=-1),
            step(spec=spec(out=8, pad=(1, 1, 1, 1)), reads=0, adds=-1),
            step(spec=spec(out=4, kernel=(1, 1)), reads=1),
            step(spec=spec(out=8, kernel=(1, 1), wide=True), reads=2, adds=1),
        ],
        seed=3,
    )
    for machine in MACHINES:
        compare(network, machine, 3)


def test_an_image_that_is_added_is_loaded_as_it_is(
    step: Any, spec: Any, network_of_steps: Callable[..., Network]
) -> None:
    """Not as windows, which a first layer of 3x3 could read."""
    network = network_of_steps(
        (3, 5, 5),
        [
            step(spec=spec(out=4, pad=(1, 1, 1, 1), codebook="int8", bits=8), reads=-1),
            step(spec=spec(out=3, pad=(1, 1, 1, 1)), reads=0, adds=-1),
        ],
        seed=0,
    )
    for machine in MACHINES:
        compare(network, machine, 0)


@pytest.mark.parametrize(("words", "groups"), [(128, {0}), (32, {0, 1})])
def test_images_in_either_group(
    words: int, groups: set[int], spec: Any, random_network: Callable[..., Network]
) -> None:
    """The round of the second image may read and write the same group."""
    network = random_network((8, 4, 8), [spec(out=8, kernel=(3, 3)), spec(out=8, kernel=(1, 1))])
    program = compare(network, replace(preset("tiny"), feature_words=words), 0)
    records = [LAYER.unpack(word) for word in program.instruction_words()]
    layers_found = [each for each in records if each["opcode"] == Opcode.CONVOLVE]
    assert len(layers_found) == 4
    assert {each["in_group"] for each in layers_found[::2]} == groups


def _shortcut_fields(program: Program) -> list[tuple[int, dict[str, int]]]:
    """Return (index, fields) of the layers that add."""
    found = []
    for entry in program.metadata["tensors"]:
        fields = LAYER.unpack(program.instruction_words()[entry["instructions"][0]])
        if fields["shortcut_groups"]:
            found.append((entry["instructions"][0], dict(fields)))
    return found


def _with_fields(program: Program, index: int, fields: dict[str, int]) -> Program:
    word = LAYER.pack(fields).to_bytes(64, "little")
    payload = program.payload[: 64 * index] + word + program.payload[64 * index + 64 :]
    return replace(program, payload=payload)


@pytest.mark.parametrize(
    "change",
    [
        {"shortcut_groups": 0},
        {"shortcut_zero": 99},
        {"shortcut_multiplier": 77},
        {"shortcut_shift": 0},
        {"shortcut_stride": 0},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_field_matters(change: dict[str, int], residual_blocks: Any) -> None:
    network = residual_blocks("pad", 1)
    program = compile_network(network, preset("tiny"))
    image = np.random.default_rng(0).integers(0, 256, (1, *network.tensors["input"].shape))
    packed = pack_images(image.astype(np.uint8), program)
    index, fields = _shortcut_fields(program)[0]
    wrong = _with_fields(program, index, fields | change)
    name = next(e["name"] for e in program.metadata["tensors"] if e["instructions"][0] == index)
    names = [entry["name"] for entry in program.metadata["tensors"]]
    pairs = zip(
        names, GoldenMachine(program).run(packed), GoldenMachine(wrong).run(packed), strict=True
    )
    first = next(each for each, one, other in pairs if (one != other).any())
    assert first == name


def test_what_the_machine_cannot_read_is_refused(residual_blocks: Any) -> None:
    """The input in the shortcut's group, and results over words that are still to be added."""
    program = compile_network(residual_blocks("pad", 1), preset("tiny"))
    image = bytes(program.metadata["image"]["bytes"])
    index, fields = _shortcut_fields(program)[0]
    group = fields["out_group"]
    wrong = _with_fields(program, index, fields | {"in_group": group})
    message = (
        rf"^Instruction {index} must read its shortcut from another group than its input, "
        rf"not both from {group}$"
    )
    with pytest.raises(ValueError, match=message):
        GoldenMachine(wrong).run(image)
    wrong = _with_fields(program, index, fields | {"out_base": fields["shortcut_base"]})
    message = r"^Layer must write its shortcut in place or not at all, not \d+..\d+ over \d+..\d+$"
    with pytest.raises(ValueError, match=message):
        GoldenMachine(wrong).run(image)
