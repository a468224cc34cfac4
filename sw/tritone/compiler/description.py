# SPDX-License-Identifier: Apache-2.0
"""What a program costs, predicted from its instructions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tritone.compiler.cycles import predict
from tritone.spec.isa import LAYER, PASS_STEP, Opcode
from tritone.spec.machine import MachineConfig
from tritone.spec.packing import Packing
from tritone.spec.program import Program
from tritone.spec.timing import array_cycles, drain_steps, layer_cycles

__all__ = ["Description", "LayerCost", "describe"]

Fields = Mapping[str, int]

# The image whose cycles count: the first ones also load the program and fill the machine.
_STEADY_IMAGE = 2


@dataclass(frozen=True, kw_only=True)
class LayerCost:
    """The work of one layer for one image.

    Parameters
    ----------
    layer : name of the node.
    kind : CONVOLVE or POOL.
    shape : C, H, W of its output.
    macs : useful multiply-accumulates; 0 for pools.
    array_cycles : cycles in which the array takes a step; 0 for pools.
    passes : walks over the window: codebook passes times activation nibbles.
    weight_bits : bits of weight memory that a weight takes in all passes; 0 for pools.
    weight_words : words of weight memory that its weights take.
    drains : hand-overs to the requantiser for each tile.
    cycles : from its acceptance to its end, of all its slices.
    capacity : multiply-accumulates of the machine in a cycle.
    bytes : of its weights, input and output as the machine stores them.
    """

    layer: str
    kind: Opcode
    shape: tuple[int, int, int]
    macs: int
    array_cycles: int
    passes: int
    weight_bits: int
    weight_words: int
    drains: int
    cycles: int
    capacity: int
    bytes: int

    @property
    def utilisation(self) -> float:
        """Useful multiply-accumulates over those that the array could do."""
        return self.macs / (self.capacity * self.cycles)

    @property
    def credited(self) -> float:
        """Utilisation with each pass counted as work of its own."""
        return self.passes * self.utilisation


@dataclass(frozen=True, kw_only=True)
class Description:
    """The work of a program for one image.

    Parameters
    ----------
    layers : in the order of execution.
    cycles : of an image in a long run, from the end of the one before to its end.
    capacity : multiply-accumulates of the machine in a cycle.
    """

    layers: tuple[LayerCost, ...]
    cycles: int
    capacity: int

    @property
    def macs(self) -> int:
        """Useful multiply-accumulates."""
        return sum(cost.macs for cost in self.layers)

    @property
    def weight_words(self) -> int:
        """Words of weight memory that all weights take."""
        return sum(cost.weight_words for cost in self.layers)

    @property
    def array_cycles(self) -> int:
        """Cycles in which the array takes a step."""
        return sum(cost.array_cycles for cost in self.layers)

    @property
    def idle_cycles(self) -> int:
        """Cycles without a layer."""
        return self.cycles - sum(cost.cycles for cost in self.layers)

    @property
    def utilisation(self) -> float:
        """Useful multiply-accumulates over those that the array could do in ``cycles``."""
        return self.macs / (self.capacity * self.cycles)

    @property
    def credited(self) -> float:
        """Utilisation with each pass counted as work of its own."""
        macs = sum(cost.passes * cost.macs for cost in self.layers)
        return macs / (self.capacity * self.cycles)


def _input_bytes(machine: MachineConfig, fields: Fields) -> int:
    """Return the bytes of the channel words that the output groups of an instruction read."""
    turns = -(-fields["out_channels"] // fields["in_turn"])
    pixels = fields["in_width"] * fields["in_height"] * fields["in_channels"] * turns
    return pixels * machine.rows


def _packings(fields: Fields) -> dict[int, Packing]:
    """Return how weight memory holds each plane of an instruction."""
    steps = (
        PASS_STEP.unpack(fields["steps"] >> (PASS_STEP.bits * index) & ((1 << PASS_STEP.bits) - 1))
        for index in range(fields["pass_steps"])
    )
    return {step["plane"]: Packing(step["packing"]) for step in steps}


def _weight_bits(fields: Fields) -> int:
    """Return the bits that a weight of an instruction takes in all passes; 0 for a pool."""
    if fields["opcode"] != Opcode.CONVOLVE:
        return 0
    return sum(packing.bits for packing in _packings(fields).values())


def _weight_words(fields: Fields) -> int:
    """Return the words of weight memory that an instruction reads."""
    words = fields["out_channels"] * fields["group_words"]
    return sum(words // packing.words for packing in _packings(fields).values())


def _cost(machine: MachineConfig, entry: Mapping[str, Any], slices: Sequence[Fields]) -> LayerCost:
    """Return the work of the layer ``entry``, computed by the instructions ``slices``."""
    # Slices read the same channel words, or each its own; stripes rows of their own, and the
    # weights of all stripes are the same.
    inputs, weights = {}, {}
    for (word, row), fields in zip(entry["parts"], slices, strict=True):
        inputs[row, fields["in_base"]] = _input_bytes(machine, fields)
        weights[word] = _weight_words(fields)
    return LayerCost(
        layer=entry["layer"],
        kind=Opcode(slices[0]["opcode"]),
        shape=tuple(entry["shape"]),
        macs=entry["macs"],
        array_cycles=sum(array_cycles(machine, fields) for fields in slices),
        passes=slices[0]["pass_steps"],
        weight_bits=_weight_bits(slices[0]),
        weight_words=sum(weights.values()),
        drains=len(drain_steps(slices[0])),
        cycles=sum(layer_cycles(machine, fields) for fields in slices),
        capacity=machine.macs_per_cycle,
        bytes=sum(inputs.values())
        + sum(weights.values()) * machine.weight_word_bits // 8
        + entry["bytes"],
    )


def describe(program: Program) -> Description:
    """Return what ``program`` costs on its machine."""
    machine, words = program.machine, program.instruction_words()
    costs = [
        _cost(machine, entry, [LAYER.unpack(words[index]) for index in entry["instructions"]])
        for entry in program.metadata["tensors"]
    ]
    return Description(
        layers=tuple(costs),
        cycles=predict(program, _STEADY_IMAGE + 1).image_cycles()[_STEADY_IMAGE],
        capacity=machine.macs_per_cycle,
    )
