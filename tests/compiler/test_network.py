# SPDX-License-Identifier: Apache-2.0
"""Compilation as a whole: what fits is a program, what does not is refused by its layer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tritone.compiler import compile_network, memory_needs
from tritone.graph import Network
from tritone.spec.isa import RECORDS, Base, MemoryId, Opcode
from tritone.spec.machine import MOST_WORDS, PRESETS, MachineConfig, RequantizerKind, preset
from tritone.spec.program import Program


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_every_preset_compiles(
    name: str,
    spec: Any,
    random_network: Callable[..., Network],
    half_octaves: Callable[..., Network],
) -> None:
    """A small network fits them all, and carries the fingerprint of its machine."""
    book = {"post": "post4", "uniform": "int4", "pot": "pot4"}[preset(name).array]
    layers = [spec(out=8, codebook=book), spec(out=10, kernel=(6, 6), codebook=book, wide=True)]
    network = random_network((1, 8, 8), layers)
    if preset(name).requantizer is RequantizerKind.HALF_OCTAVE:
        network = half_octaves(network)
    program = compile_network(network, preset(name))
    assert program.machine.fingerprint == preset(name).fingerprint


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"feature_words": 8},
            r"^Layer layer0 must fit 8 feature words in group 0 with 1 of 6 rows .*, not 12$",
        ),
        (
            {"weight_words": 8},
            r"^Layer layer0 must fit 8 weight words with one output group, not 9$",
        ),
        (
            {"parameter_words": 4},
            r"^Layer layer0 must fit 4 parameter words with one output group, not 8$",
        ),
        (
            {"even_bits": 12},
            r"^Layer layer1 must fit one walk in the even accumulators, 4095, not \d+$",
        ),
    ],
)
def test_small_machines_are_refused(
    change: dict[str, int], message: str, spec: Any, random_network: Callable[..., Network]
) -> None:
    """Each memory and width of the machine, with the first layer that it is too small for."""
    network = random_network((1, 8, 8), [spec(out=8), spec(out=10, kernel=(6, 6), wide=True)])
    with pytest.raises(ValueError, match=message):
        compile_network(network, replace(preset("tiny"), **change))


def test_the_largest_layer_is_accepted(spec: Any, random_network: Callable[..., Network]) -> None:
    """4608 taps of int8 by 8 bits with zero 255, all negative: B and sums fit."""
    network = random_network((512, 3, 3), [spec(out=1, codebook="int8", bits=8)], zero=255)
    network.nodes[0].codes[...] = 0x99  # -7 * 16 - 7
    machine = replace(preset("demo"), feature_words=1024, weight_words=2048)
    program = compile_network(network, machine)
    assert program.metadata["tensors"][0]["macs"] == 4608


def loads_in_the_loop(program: Program) -> list[MemoryId]:
    """Return the memories that are filled again for each image."""
    decoded = [
        (Opcode(word & 15), RECORDS[Opcode(word & 15)].unpack(word))
        for word in program.instruction_words()
    ]
    target = next(fields["target"] for opcode, fields in decoded[::-1] if opcode is Opcode.NEXT)
    return [
        MemoryId(fields["memory"])
        for opcode, fields in decoded[target:]
        if opcode is Opcode.LOAD and fields["source"] == Base.PROGRAM
    ]


def with_words(machine: MachineConfig, words: dict[str, int]) -> MachineConfig:
    """Return ``machine`` with memories that hold so many words, a power of two at least."""
    return replace(
        machine,
        **{f"{name}_words": max(4, 1 << (need - 1).bit_length()) for name, need in words.items()},
    )


def test_memories_of_what_is_needed_hold_a_network(
    spec: Any, random_network: Callable[..., Network]
) -> None:
    """With them nothing is loaded again; with half as many weights or parameters something is."""
    layers = [spec(out=8, kernel=(3, 3)), spec(out=16), spec(out=10, kernel=(4, 4), wide=True)]
    network = random_network((1, 8, 8), layers)
    machine = replace(preset("tiny"), instruction_words=MOST_WORDS)
    needs = memory_needs(network, machine)
    words = {"feature": needs.feature, "weight": needs.weight, "parameter": needs.parameter}
    whole = compile_network(network, with_words(machine, words))
    assert loads_in_the_loop(whole) == []
    # Two places for the image and for the result, and none of its rows in stripes.
    assert whole.instructions * 8 == needs.instruction
    assert sum(word & 15 == Opcode.NEXT for word in whole.instruction_words()) == 2
    for name, memory in (("weight", MemoryId.WEIGHT), ("parameter", MemoryId.PARAMETER)):
        less = with_words(machine, words)
        held = getattr(less, f"{name}_words")
        half = replace(less, **{f"{name}_words": held // 2})
        assert memory in loads_in_the_loop(compile_network(network, half))


def test_room_for_two_results(spec: Any, random_network: Callable[..., Network]) -> None:
    """The images and results that take turns count with their second places."""
    layers = [spec(out=8, kernel=(1, 1)), spec(out=64, kernel=(1, 1))]
    needs = memory_needs(random_network((8, 8, 8), layers), preset("tiny"))
    # 8x8 pixels in 2 banks. In one group two images of 32 words and two results of 8 channel words
    # of 32, in the other the features between them.
    assert needs.feature == 2 * 32 + 2 * 8 * 32
    assert (needs.weight, needs.parameter) == (1 + 8, 8 * (1 + 8))


def test_what_is_needed_does_not_depend_on_what_is_there(
    spec: Any, random_network: Callable[..., Network]
) -> None:
    """Whatever the machine's memories are, the instructions are those of a program that fits."""
    network = random_network((1, 8, 8), [spec(out=8), spec(out=10, kernel=(6, 6), wide=True)])
    small = replace(preset("tiny"), feature_words=4, weight_words=4, parameter_words=4)
    needs = memory_needs(network, small)
    assert needs == memory_needs(network, preset("tiny"))
    program = compile_network(network, preset("tiny"))
    assert needs.instruction == 8 * program.instructions
    # 10 channels in two groups of 8 columns, behind one of 8; 8 slots each.
    assert needs.parameter == 8 * (1 + 2)
    # Channel words of one kernel pixel each: 9 for the first layer, 36 for both groups of the last.
    assert needs.weight == 9 + 2 * 36 == needs.packed_weight
