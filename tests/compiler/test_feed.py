# SPDX-License-Identifier: Apache-2.0
"""Constants that are loaded again for every image: what is read, and when it may be replaced."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hazards import decode, require_no_hazard

from tritone.compiler import compile_network, pack_images
from tritone.golden import layers
from tritone.golden.machine import GoldenMachine
from tritone.graph import Network
from tritone.spec.isa import Base, MemoryId, Opcode
from tritone.spec.machine import MachineConfig, preset
from tritone.spec.program import Program

SMALL = {
    "tiny": replace(preset("tiny-p2"), instruction_words=4096),
    "packed": replace(preset("tiny-packed"), instruction_words=4096),
    # Two output groups share a channel word.
    "half": MachineConfig(
        name="half", rows=16, columns=8, pixels=1, requantizer_slots=4, instruction_words=4096
    ),
}


def _least(network: Network, machine: MachineConfig) -> tuple[Program, bool]:
    """Return the program for the smallest memories of constants, and if its loop fills them."""
    for weight_words in (4 << n for n in range(12)):
        small = replace(machine, weight_words=weight_words, parameter_words=16)
        with suppress(ValueError):
            program = compile_network(network, small)
            break
    found = [fields for opcode, fields in decode(program) if opcode is Opcode.LOAD]
    loops = [f for f in found if f["source"] == Base.PROGRAM and f["memory"] == MemoryId.WEIGHT]
    return program, len({fields["offset"] for fields in loops}) < len(loops)


def _require_equal(program: Program, network: Network, seed: int) -> None:
    """Check that golden layers and golden machine agree on three images."""
    shape = (3, *network.tensors[network.input].shape)
    images = np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)
    expected = layers.run(network, images)
    packed = pack_images(images, program)
    size = program.metadata["image"]["bytes"]
    each = [packed[start : start + size] for start in range(0, len(packed), size)]
    golden = GoldenMachine(program)
    for number, (image, following) in enumerate(zip(each, [*each[1:], None], strict=True)):
        found = golden.run(image, following)
        for entry, tensor in zip(program.metadata["tensors"], found, strict=True):
            assert (tensor == expected[entry["name"]][number]).all(), (seed, entry["name"])


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("kind", ["chain", "identity", "pad", "project"])
def test_networks_on_the_least_memories_are_equal(
    name: str,
    kind: str,
    random_chain: Callable[[int], Network],
    residual_blocks: Callable[..., Network],
) -> None:
    """Golden layers and golden machine agree on three images; nothing is replaced too early."""
    streamed = beside = 0
    for seed in range(8 if kind == "chain" else 2):
        network = random_chain(seed) if kind == "chain" else residual_blocks(kind, seed)
        program, again = _least(network, SMALL[name])
        streamed += again
        beside += require_no_hazard(program)
        _require_equal(program, network, seed)
    assert streamed
    assert beside > 0


@pytest.mark.parametrize("kind", ["identity", "pad"])
def test_networks_without_multipliers_are_equal(
    kind: str, residual_blocks: Callable[..., Network], half_octaves: Callable[..., Network]
) -> None:
    """Slices with a shortcut and without one of a layer whose channels have shifts of their own."""
    network = half_octaves(residual_blocks(kind, 1, channels=16), 1)
    program, again = _least(network, replace(preset("tiny_half"), instruction_words=4096))
    assert again
    require_no_hazard(program)
    _require_equal(program, network, 1)


def test_layers_and_loads_take_turns(spec: Any, random_network: Callable[..., Network]) -> None:
    """Behind the first slice of a block the next one is loaded; the first one before STORE.

    Six output groups of 9 words and one of 6 in 32: slices of a group, and the last two together
    in a block that ends with the memory.
    """
    network = random_network((8, 9, 9), [spec(out=48), spec(out=8, kernel=(1, 1))])
    program = compile_network(network, replace(preset("tiny-p2"), weight_words=32))
    order = [
        (opcode.name, fields["wait_load"], fields["wait_layer"], fields.get("address"))
        for opcode, fields in decode(program)
    ]
    assert [each[0] for each in order[:4]] == ["CHECK", "LOAD", "LOAD", "LOAD"]
    waits = ("CONVOLVE", 1, 1, None)
    image = order[6]
    assert image[:3] == ("LOAD", 0, 0)
    assert order[4:20] == [
        *(waits, ("LOAD", 0, 0, 23), image),
        *(waits, ("LOAD", 0, 0, 0)),
        *(waits, ("LOAD", 0, 0, 23)),
        *(waits, ("LOAD", 0, 0, 0)),
        *(waits, ("LOAD", 0, 0, 17)),
        *(waits, ("LOAD", 0, 0, 0)),
        ("CONVOLVE", 0, 1, None),
        ("STORE", 0, 1, None),
        ("NEXT", 0, 0, None),
    ]


def test_a_block_on_words_of_the_one_before_waits_for_its_last_layer(
    spec: Any, random_network: Callable[..., Network]
) -> None:
    """Output groups of 9 words in 16: each load waits for the layer before it."""
    network = random_network((8, 9, 9), [spec(out=8)] * 3)
    program = compile_network(network, replace(preset("tiny"), weight_words=16))
    assert require_no_hazard(program) == 0
    loads = [fields for opcode, fields in decode(program) if opcode is Opcode.LOAD]
    waits = [fields["wait_layer"] for fields in loads if fields["memory"] == MemoryId.WEIGHT]
    assert waits[0] == 0
    assert set(waits[1:]) == {1}
    assert len(waits) == 1 + 3 * 2


def test_a_block_that_waits_gives_its_first_layer_what_it_needs_first(
    spec: Any, random_network: Callable[..., Network]
) -> None:
    """1 and 9 words of two codebooks share the memory of 32 with 24 of a third layer.

    Those of the first layer are loaded behind the third one, the others beside the first layer.
    """
    specs = [
        spec(out=8, kernel=(1, 1)),
        spec(out=8, codebook="ternary"),
        spec(out=8, kernel=(4, 6)),
    ]
    network = random_network((8, 6, 8), specs)
    program = compile_network(network, replace(preset("tiny-p2"), weight_words=32))
    order = [
        (opcode.name, fields.get("memory"), fields.get("words"), fields["wait_layer"])
        for opcode, fields in decode(program)
    ]
    convolve, weight = ("CONVOLVE", None, None, 1), ("LOAD", MemoryId.WEIGHT)
    assert order[1:13] == [
        ("LOAD", MemoryId.PARAMETER, 24, 0),
        (*weight, 1, 0),
        ("LOAD", MemoryId.FEATURE_0, 0, 0),
        convolve,
        (*weight, 9, 0),
        ("LOAD", MemoryId.FEATURE_0, 0, 0),
        convolve,
        (*weight, 24, 1),
        convolve,
        (*weight, 1, 0),  # on no word of the third layer
        ("STORE", None, None, 1),
        ("NEXT", None, None, 0),
    ]
    require_no_hazard(program)
    _require_equal(program, network, 4)
