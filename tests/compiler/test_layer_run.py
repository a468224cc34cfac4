# SPDX-License-Identifier: Apache-2.0
"""The order of a layer's instructions: pieces of its output, and transfers around them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hazards import decode

from tritone.compiler import compile_network
from tritone.graph import Network
from tritone.spec.isa import Opcode
from tritone.spec.machine import MachineConfig

MACHINE = MachineConfig(
    name="half",
    rows=16,
    columns=8,
    pixels=1,
    requantizer_slots=4,
    feature_words=128,
    instruction_words=4096,
)


def test_stripes_of_an_output_on_the_chip_take_its_channel_words_in_turn(
    spec: Any, random_network: Callable[..., Network]
) -> None:
    """24 rows of 12 pixels outside, 40 channels of 12x6 on the chip: 3 words, the last one half."""
    network = random_network(
        (16, 24, 12), [spec(out=40, kernel=(2, 2), stride=2), spec(out=8, kernel=(12, 6))]
    )
    program = compile_network(network, MACHINE)
    first = program.metadata["tensors"][0]
    rows = sorted({row for _, row in first["parts"]})
    assert len(rows) > 1
    assert first["parts"] == [[word, row] for row in rows for word in range(3)]
    decoded = decode(program)
    layers = [decoded[index][1] for index in first["instructions"]]
    # Weights and parameters of the third and fifth group of 8 behind those of the first.
    for index, (fields, begin) in enumerate(zip(layers, layers[:3] * len(rows), strict=True)):
        assert fields["out_channels"] == (2, 2, 1)[index % 3]
        assert fields["parameter_base"] == begin["parameter_base"] == 8 * (index % 3)
        assert fields["weight_base"] == begin["weight_base"] == 8 * (index % 3)
    # The next rows are loaded behind the first of the three, into the other buffer.
    order = [opcode for opcode, _ in decoded[first["instructions"][0] :]][:4]
    assert order == [Opcode.CONVOLVE, Opcode.LOAD, Opcode.CONVOLVE, Opcode.CONVOLVE]
    sources = [fields["in_base"] for fields in layers]
    assert sources[:3] == [sources[0]] * 3
    assert sources[3:6] == [sources[3]] * 3 != sources[:3]
