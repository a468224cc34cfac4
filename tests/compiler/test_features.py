# SPDX-License-Identifier: Apache-2.0
"""Tensors that feature memory has no room for: equal values, no hazard, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hazards import decode, require_no_hazard

from tritone.compiler import compile_network, pack_images, predict
from tritone.golden import layers
from tritone.golden.machine import GoldenMachine
from tritone.graph import Network, PoolKind
from tritone.spec.isa import Base, MemoryId, Opcode
from tritone.spec.machine import MachineConfig, preset
from tritone.spec.program import Program

MACHINES = {
    "tiny": replace(preset("tiny-p2"), instruction_words=1 << 16),
    # Two output groups share a channel word.
    "half": MachineConfig(
        name="half", rows=16, columns=8, pixels=1, requantizer_slots=4, instruction_words=1 << 16
    ),
}


def _least(network: Network, machine: MachineConfig) -> Program:
    """Return the program for the least feature memory."""
    for words in (4 << n for n in range(8)):
        try:
            return compile_network(network, replace(machine, feature_words=words))
        except ValueError as error:
            refusal = error
    raise refusal


def _transfers(program: Program) -> tuple[int, int]:
    """Return the LOADs and STOREs of tensors that are neither image nor result."""
    features = (MemoryId.FEATURE_0, MemoryId.FEATURE_1)
    loads = stores = 0
    for opcode, fields in decode(program):
        if opcode is Opcode.LOAD and fields["memory"] in features:
            loads += fields["source"] == Base.PROGRAM
        stores += opcode is Opcode.STORE and fields["target"] == Base.PROGRAM
    return loads, stores


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


@pytest.mark.parametrize("name", MACHINES)
@pytest.mark.parametrize("kind", ["chain", "identity", "pad", "project", "joined"])
def test_networks_on_the_least_memory_are_equal(
    name: str,
    kind: str,
    random_chain: Callable[[int], Network],
    residual_blocks: Callable[..., Network],
    random_joined: Callable[..., Network],
) -> None:
    """Golden layers and golden machine agree, and nothing is replaced too early."""
    striped = moved = 0
    for seed in range(8 if kind == "chain" else 2):
        machine = MACHINES[name]
        if kind == "chain":
            network = random_chain(seed)
        elif kind == "joined":
            network = random_joined(seed, machine.rows)
        else:
            network = residual_blocks(kind, seed)
        program = _least(network, machine)
        require_no_hazard(program)
        _require_equal(program, network, seed)
        striped += any(len(entry["parts"]) > 1 for entry in program.metadata["tensors"])
        loads, stores = _transfers(program)
        assert bool(loads) == bool(stores)
        moved += loads
    assert striped
    assert moved


def test_a_network_that_fits_moves_nothing(
    spec: Any, random_network: Callable[..., Network]
) -> None:
    """Neither outside nor in stripes, and the payload ends with the constants."""
    network = random_network((3, 6, 6), [spec(out=12), spec(out=10, kernel=(4, 4), wide=True)])
    program = compile_network(network, preset("tiny-p2"))
    assert _transfers(program) == (0, 0)
    assert [entry["parts"] for entry in program.metadata["tensors"]] == [[[0, 0]]] * 2
    ends = [
        fields["offset"] + 8 * fields["beats"]
        for opcode, fields in decode(program)
        if opcode is Opcode.LOAD and fields["source"] == Base.PROGRAM
    ]
    assert max(ends) == len(program.payload)


def test_stripes_read_the_rows_of_their_windows(
    spec: Any, random_network: Callable[..., Network]
) -> None:
    """12 rows of 16 pixels by hand: a group of 32 words holds 4 of them in two buffers.

    The image, of 8 channels, is outside as is the result; a stripe of 3x3 windows with padding
    reads a row more above and below, where these are.
    """
    network = random_network((8, 12, 16), [spec(out=8, pad=(1, 1, 1, 1))])
    machine = replace(MACHINES["tiny"], feature_words=32)
    program = compile_network(network, machine)
    decoded = decode(program)
    loads = [
        (fields["offset"] // 128, fields["rows"], fields["beats"])
        for opcode, fields in decoded
        if opcode is Opcode.LOAD and fields["source"] == Base.IMAGE
    ]
    stripes = [
        (fields["out_height"], fields["in_height"], fields["pad_top"])
        for opcode, fields in decoded
        if opcode is Opcode.CONVOLVE
    ]
    stores = [
        (fields["offset"] // 128, fields["rows"])
        for opcode, fields in decoded
        if opcode is Opcode.STORE
    ]
    # Rows of 4 words, so that 32 hold two buffers of 4 rows, or one of 8.
    assert loads == [(0, 3, 48), *((first, 4, 64) for first in (1, 3, 5, 7)), (9, 3, 48)]
    assert stripes == [(2, 3, 1), *[(2, 4, 0)] * 4, (2, 3, 0)]
    assert stores == [(first, 2) for first in range(0, 12, 2)]
    # While a stripe is computed the one before it is stored and the next one is loaded.
    order = [opcode.name for opcode, _ in decoded[3:-1]]
    beside = ["CONVOLVE", "STORE", "LOAD"]
    assert order == ["LOAD", "CONVOLVE", "LOAD", *beside * 4, "CONVOLVE", "STORE", "STORE"]


def test_a_tensor_outside_is_loaded_while_the_layer_works(
    spec: Any, random_network: Callable[..., Network]
) -> None:
    """Two buffers: an image takes hardly longer than its layers alone."""
    ring = (1, 1, 1, 1)
    network = random_network((8, 32, 32), [spec(out=8, pad=ring), spec(out=8, pad=ring)])
    program = compile_network(network, replace(MACHINES["tiny"], feature_words=64))
    prediction = predict(program, 3)
    busy = sum(
        step.end - step.start
        for step in prediction.steps
        if step.opcode is Opcode.CONVOLVE and step.image == 1
    )
    assert prediction.image_cycles()[1] < 1.1 * busy


def test_one_row_must_fit(spec: Any, random_network: Callable[..., Network]) -> None:
    """Windows of 5 rows of 8 words each, in 32 words; and a pool over all of its input."""
    network = random_network((8, 16, 32), [spec(out=8, kernel=(5, 1))])
    machine = replace(MACHINES["tiny"], feature_words=32)
    message = (
        r"^Layer layer0 must fit 32 feature words in group 0 with 1 of 12 rows of its output at "
        r"once, not 40$"
    )
    with pytest.raises(ValueError, match=message):
        compile_network(network, machine)
    network = random_network((8, 16, 16), [spec(kernel=(16, 16), kind=PoolKind.AVERAGE)])
    message = (
        r"^Layer layer0 must fit 32 feature words in group 0 with 1 of 1 rows of its output at "
        r"once, not 64$"
    )
    with pytest.raises(ValueError, match=message):
        compile_network(network, machine)
