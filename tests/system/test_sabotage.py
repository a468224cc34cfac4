# SPDX-License-Identifier: Apache-2.0
"""One thing wrong in what the Verilog is given, or in the Verilog: the bench names the layer.

The golden machine always runs the program as it was compiled. Each change is the smallest that can
show in a value of its layer; all layers before it must stay equal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tritone.compiler import compile_network, pack_images
from tritone.graph import Convolution, Network
from tritone.spec.fixed import SUM
from tritone.spec.isa import (
    HEADER,
    INSTRUCTION_BITS,
    LAYER,
    LOAD,
    PARAMETER,
    Base,
    MemoryId,
    Opcode,
)
from tritone.spec.machine import MachineConfig, preset
from tritone.spec.program import Program
from tritone_sim.verification import Verification, verify

MACHINE = preset("tiny-p2")
INSTRUCTION_BYTES = INSTRUCTION_BITS // 8
# A POST layer in the middle: layers of every kind lie before it.
LAYER_NAME = "layer3"

MachineModel = Callable[[MachineConfig], Any]


@pytest.fixture(scope="module")
def program(every_operator: Network) -> Program:
    """The program as it was compiled."""
    return compile_network(every_operator, MACHINE)


def run(
    model: Any, program: Program, given: Program, network: Network, folder: Path
) -> Verification:
    """Give the Verilog one program and the golden machine another."""
    shape = network.tensors[network.input].shape
    images = np.random.default_rng(3).integers(0, 256, (2, *shape)).astype(np.uint8)
    packed = pack_images(images, program)
    return verify(model, given, packed, folder, reference=program)


def named_layer(found: Verification) -> str | None:
    """Return the layer that the bench blames."""
    assert (found.comparison.divergence is None) == (found.comparison.mismatches == 0)
    return found.comparison.divergence.layer if found.comparison.divergence else None


def layer_fields(program: Program) -> tuple[int, dict[str, int]]:
    """Return index and fields of the layer's instruction."""
    entries = program.metadata["tensors"]
    entry = next(each for each in entries if each["layer"] == LAYER_NAME)
    index = entry["instructions"][0]
    return index, LAYER.unpack(program.instruction_words()[index])


def with_bits(program: Program, offset: int, bits: int) -> Program:
    """Return the program with ``bits`` of the payload's byte at ``offset`` flipped."""
    payload = bytearray(program.payload)
    payload[offset] ^= bits
    assert bytes(payload) != program.payload
    return replace(program, payload=bytes(payload))


def with_bytes(program: Program, offset: int, data: bytes) -> Program:
    """Return the program with other bytes at ``offset`` of the payload."""
    payload = bytearray(program.payload)
    payload[offset : offset + len(data)] = data
    assert bytes(payload) != program.payload
    return replace(program, payload=bytes(payload))


def load_of(program: Program, memory: MemoryId, word: int) -> tuple[int, dict[str, int]]:
    """Return index and fields of the LOAD that fills a word of an on-chip memory."""
    opcode = HEADER.fields[0]
    for index, instruction in enumerate(program.instruction_words()):
        if instruction & opcode.high != Opcode.LOAD:
            continue
        load = LOAD.unpack(instruction)
        if load["memory"] == memory and 0 <= word - load["address"] < load["words"]:
            assert load["source"] == Base.PROGRAM
            return index, load
    raise AssertionError(f"no LOAD fills word {word} of {memory.name}")


def payload_offset(program: Program, memory: MemoryId, word: int, word_bytes: int) -> int:
    """Return where in the payload a word of an on-chip memory comes from."""
    _, load = load_of(program, memory, word)
    return load["offset"] + (word - load["address"]) * word_bytes


def parameter(program: Program, channel: int) -> tuple[int, dict[str, int]]:
    """Return where the requantiser's constants of an output channel are, and what they are."""
    _, fields = layer_fields(program)
    word_bytes = MACHINE.parameter_word_bits // 8
    record_bytes = PARAMETER.bits // 8
    word, lane = divmod(channel, MACHINE.slot_channels)
    offset = payload_offset(
        program, MemoryId.PARAMETER, fields["parameter_base"] + word, word_bytes
    )
    offset += lane * record_bytes
    data = program.payload[offset : offset + record_bytes]
    return offset, PARAMETER.unpack(int.from_bytes(data, "little"))


def with_parameter(program: Program, channel: int, changed: Mapping[str, int]) -> Program:
    """Return the program with other constants of one output channel."""
    offset, record = parameter(program, channel)
    word = PARAMETER.pack({**record, **changed})
    return with_bytes(program, offset, word.to_bytes(PARAMETER.bits // 8, "little"))


def convolution(network: Network) -> Convolution:
    """Return the layer that is changed."""
    node = next(node for node in network.nodes if node.name == LAYER_NAME)
    assert isinstance(node, Convolution)
    return node


def test_nothing_changed_is_equal(
    machine_model: MachineModel, program: Program, every_operator: Network, tmp_path: Path
) -> None:
    """What the tests below start from."""
    found = run(machine_model(MACHINE), program, program, every_operator, tmp_path)
    assert named_layer(found) is None
    assert found.logit_mismatches == 0


def test_a_weight_bit(
    machine_model: MachineModel, program: Program, every_operator: Network, tmp_path: Path
) -> None:
    """The sign of the middle weight of output channel 9, input channel 3."""
    _, fields = layer_fields(program)
    group, column = divmod(9, MACHINE.columns)
    position = 4 * fields["in_channels"]  # kernel row 1, column 1; input channel word 0
    word = fields["weight_base"] + group * fields["group_words"] + position
    offset = payload_offset(program, MemoryId.WEIGHT, word, MACHINE.weight_word_bits // 8)
    byte, nibble = divmod(column * MACHINE.rows + 3, 2)
    stored = program.payload[offset + byte] >> 4 * nibble & 15
    assert stored == convolution(every_operator).codes[9, 3, 1, 1]
    changed = with_bits(program, offset + byte, 8 << 4 * nibble)
    found = run(machine_model(MACHINE), program, changed, every_operator, tmp_path)
    assert named_layer(found) == LAYER_NAME
    assert found.comparison.divergence is not None
    assert found.comparison.divergence.channel == 9


@pytest.mark.parametrize("name", ["bias", "multiplier", "offset"])
def test_a_constant(
    name: str,
    machine_model: MachineModel,
    program: Program,
    every_operator: Network,
    tmp_path: Path,
) -> None:
    """B, M or D of output channel 12, changed by what makes about two codes."""
    channel = 12
    _, record = parameter(program, channel)
    node = convolution(every_operator)
    assert record["multiplier"] == node.multiplier[channel]
    assert record["offset"] == node.offset[channel]
    two_codes = 2 << node.shift
    step = {
        "bias": two_codes // abs(record["multiplier"]),
        "multiplier": record["multiplier"] // -2,
        "offset": two_codes,
    }[name]
    assert two_codes < 1 << SUM.bits
    changed = with_parameter(program, channel, {name: record[name] + step})
    found = run(machine_model(MACHINE), program, changed, every_operator, tmp_path)
    assert named_layer(found) == LAYER_NAME
    assert found.comparison.divergence is not None
    assert found.comparison.divergence.channel == channel


def test_a_lookup_entry(
    machine_model: MachineModel, program: Program, every_operator: Network, tmp_path: Path
) -> None:
    """The sign of what a nibble stands for; the first layer that loads this table is to blame."""
    node = convolution(every_operator)
    nibble = int(node.codes[0, 0, 0, 0])
    _, fields = layer_fields(program)
    index, load = load_of(program, MemoryId.WEIGHT, fields["weight_base"])
    assert load["table"] >> 4 * nibble & 7 != 7  # it is a term
    word = LOAD.pack({**load, "table": load["table"] ^ 8 << 4 * nibble})
    changed = with_bytes(
        program, index * INSTRUCTION_BYTES, word.to_bytes(INSTRUCTION_BYTES, "little")
    )
    same_codebook = [
        each.name
        for each in every_operator.nodes
        if isinstance(each, Convolution) and each.codebook == node.codebook
    ]
    found = run(machine_model(MACHINE), program, changed, every_operator, tmp_path)
    assert named_layer(found) == same_codebook[0] != LAYER_NAME
    assert found.logit_mismatches > 0  # the pass without dumps is compared, too


def test_the_pad_code(
    machine_model: MachineModel, program: Program, every_operator: Network, tmp_path: Path
) -> None:
    """One too much outside the input: the first wrong value lies on the edge."""
    index, fields = layer_fields(program)
    word = LAYER.pack({**fields, "pad_code": fields["pad_code"] + 1})
    data = word.to_bytes(INSTRUCTION_BYTES, "little")
    changed = with_bytes(program, index * INSTRUCTION_BYTES, data)
    found = run(machine_model(MACHINE), program, changed, every_operator, tmp_path)
    assert named_layer(found) == LAYER_NAME
    assert found.comparison.divergence is not None
    assert 0 in (found.comparison.divergence.y, found.comparison.divergence.x)


def test_a_machine_that_stops_is_no_comparison(
    machine_model: MachineModel, program: Program, every_operator: Network, tmp_path: Path
) -> None:
    """Cleared memory in the place of the first LOAD."""
    index = 1
    changed = with_bytes(program, index * INSTRUCTION_BYTES, bytes(INSTRUCTION_BYTES))
    message = (
        r"^Machine must end with status DONE, not <Status\.ERROR: 4> "
        rf"with error ILLEGAL_INSTRUCTION at instruction {index}$"
    )
    with pytest.raises(RuntimeError, match=message):
        run(machine_model(MACHINE), program, changed, every_operator, tmp_path)


def test_a_bank_bit(
    machine_model: MachineModel,
    program: Program,
    every_operator: Network,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A reader that takes the wrong bit of x for its bank fails in the first layer."""
    from tritone_hw import activation_reader

    right = activation_reader.bank_index
    monkeypatch.setattr(activation_reader, "bank_index", lambda machine, x: right(machine, x) ^ 2)
    model = machine_model(replace(MACHINE, name="wrong-bank"))
    found = run(model, program, program, every_operator, tmp_path)
    assert named_layer(found) == every_operator.nodes[0].name


def test_the_rounding_constant(
    machine_model: MachineModel,
    program: Program,
    every_operator: Network,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A reader that rounds down fails in the first layer that reads fewer than 8 bits."""
    from tritone_hw import activation_reader

    right = activation_reader.half
    monkeypatch.setattr(activation_reader, "half", lambda shift: right(shift) & 0)
    model = machine_model(replace(MACHINE, name="wrong-rounding"))
    found = run(model, program, program, every_operator, tmp_path)
    narrow = [
        node.name
        for node in every_operator.nodes
        if isinstance(node, Convolution) and node.read_shift(every_operator.tensors[node.input])
    ]
    assert named_layer(found) == narrow[0] != every_operator.nodes[0].name
