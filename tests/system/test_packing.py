# SPDX-License-Identifier: Apache-2.0
"""Networks with weights of one and two bits: Verilog, golden models and predicted cycles agree."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tritone.compiler import compile_network, describe, pack_images, predict
from tritone.golden import layers
from tritone.graph import Network, PoolKind
from tritone.spec.isa import HEADER, INSTRUCTION_BITS, LAYER, LOAD, TERMS, MemoryId, Opcode
from tritone.spec.machine import preset
from tritone.spec.program import Program
from tritone_sim.verification import verify

# Few words of weights, which every image loads again.
MACHINE = replace(preset("tiny-packed"), weight_words=64, instruction_words=1024)
RING = (1, 1, 1, 1)


@pytest.fixture(scope="module")
def network(spec: Any, random_network: Callable[..., Network]) -> Network:
    """Every form in which a pass can be packed, between layers that are not.

    The image is no whole word of channels; later layers have 16 and, behind the pool, 20.
    """
    return random_network(
        (3, 7, 6),
        [
            spec(out=16, pad=RING, codebook="int8", bits=8),
            spec(out=16, pad=RING, codebook="binary"),
            spec(out=24, kernel=(2, 1), codebook="odd2"),
            spec(out=16, kernel=(1, 2), codebook="odd3", bits=8),
            spec(kernel=(2, 2), kind=PoolKind.MAX),
            spec(out=20, kernel=(1, 3), codebook="ternary", pad=RING, bits=2),
            spec(out=16, kernel=(2, 2), codebook="binary", bits=1),
            spec(out=16, kernel=(1, 1), codebook="post4"),
            spec(out=10, kernel=(1, 1), codebook="int3", bits=8, wide=True),
        ],
        seed=11,
    )


def _images(network: Network, count: int) -> np.ndarray:
    shape = (count, *network.tensors[network.input].shape)
    return np.random.default_rng(8).integers(0, 256, shape).astype(np.uint8)


def test_every_tensor_and_the_cycles_are_equal(
    network: Network, machine_model: Callable[[Any], Any], tmp_path: Path
) -> None:
    """Three images; the weights do not fit their memory, so their blocks are loaded in turn."""
    program = compile_network(network, MACHINE)
    images = _images(network, 3)
    found = verify(machine_model(MACHINE), program, pack_images(images, program), tmp_path)
    assert str(found.comparison.divergence) == "None"
    assert found.comparison.mismatches == 0
    assert found.logit_mismatches == 0
    expected = layers.run(network, images)
    assert (found.logits == expected[network.output].reshape(3, -1)).all()
    assert found.free.cycles == predict(program, 3).cycles
    bits = [cost.weight_bits for cost in describe(program).layers]
    # int8 and odd3 have passes of nibbles, beside which six words of pairs take less than eight of
    # bits; binary takes two bits where lanes are idle.
    assert bits == [16, 1, 2, 6, 0, 2, 2, 4, 4]


def _changed(program: Program, offset: int, data: bytes) -> Program:
    payload = bytearray(program.payload)
    assert payload[offset : offset + len(data)] != data
    payload[offset : offset + len(data)] = data
    return replace(program, payload=bytes(payload))


def _terms_offset(program: Program) -> int:
    for word in program.instruction_words():
        if word & HEADER.fields[0].high == Opcode.LOAD:
            load = LOAD.unpack(word)
            if load["memory"] == MemoryId.TERMS:
                return int(load["offset"])
    raise AssertionError("no LOAD fills the memory of terms")


def _first_wrong(
    model: Any, program: Program, given: Program, network: Network, folder: Path
) -> str | None:
    """Return the layer that is blamed when the Verilog gets another program than the model."""
    packed = pack_images(_images(network, 1), program)
    divergence = verify(model, given, packed, folder, reference=program).comparison.divergence
    return divergence.layer if divergence else None


def test_a_wrong_term_is_found(
    network: Network, machine_model: Callable[[Any], Any], tmp_path: Path
) -> None:
    """Code 0 of the binary weights twice as large; the layer before it is equal."""
    program = compile_network(network, MACHINE)
    index = program.metadata["tensors"][1]["instructions"][0]
    terms = LAYER.unpack(program.instruction_words()[index])["terms"]
    offset = _terms_offset(program) + terms * TERMS.bits // 8
    changed = _changed(program, offset, bytes([program.payload[offset] ^ 1]))
    found = _first_wrong(machine_model(MACHINE), program, changed, network, tmp_path)
    assert found == network.nodes[1].name


def test_a_wrong_part_of_a_word_is_found(
    network: Network, machine_model: Callable[[Any], Any], tmp_path: Path
) -> None:
    """The second output group of binary weights begins a word of its walk too late."""
    program = compile_network(network, MACHINE)
    index = program.metadata["tensors"][1]["instructions"][0]
    fields = LAYER.unpack(program.instruction_words()[index])
    assert fields["out_channels"] == 2
    word = LAYER.pack({**fields, "group_words": fields["group_words"] + 1})
    size = INSTRUCTION_BITS // 8
    changed = _changed(program, index * size, word.to_bytes(size, "little"))
    found = _first_wrong(machine_model(MACHINE), program, changed, network, tmp_path)
    assert found == network.nodes[1].name
