# SPDX-License-Identifier: Apache-2.0
"""What a program costs, predicted from its instructions."""

from __future__ import annotations

from dataclasses import dataclass

from tritone.spec.isa import LAYER, Opcode
from tritone.spec.machine import BEAT_BYTES
from tritone.spec.program import Program
from tritone.spec.timing import array_cycles, drain_steps, layer_cycles

__all__ = ["Description", "LayerCost", "describe"]


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
    drains : hand-overs to the requantiser for each tile.
    cycles : from its acceptance to its end.
    """

    layer: str
    kind: Opcode
    shape: tuple[int, int, int]
    macs: int
    array_cycles: int
    drains: int
    cycles: int


@dataclass(frozen=True, kw_only=True)
class Description:
    """The work of a program for one image.

    Parameters
    ----------
    layers : in the order of execution.
    transfer_cycles : beats of the image and the result.
    capacity : multiply-accumulates of the machine in a cycle.
    """

    layers: tuple[LayerCost, ...]
    transfer_cycles: int
    capacity: int

    @property
    def macs(self) -> int:
        """Useful multiply-accumulates."""
        return sum(cost.macs for cost in self.layers)

    @property
    def array_cycles(self) -> int:
        """Cycles in which the array takes a step."""
        return sum(cost.array_cycles for cost in self.layers)

    @property
    def cycles(self) -> int:
        """Cycles of layers and transfers; the bus's latency and the dispatch come on top."""
        return sum(cost.cycles for cost in self.layers) + self.transfer_cycles

    @property
    def utilisation(self) -> float:
        """Useful multiply-accumulates over those that the array could do in ``cycles``."""
        return self.macs / (self.capacity * self.cycles)


def describe(program: Program) -> Description:
    """Return what ``program`` costs on its machine."""
    machine, words = program.machine, program.instruction_words()
    costs = []
    for entry in program.metadata["tensors"]:
        fields = LAYER.unpack(words[entry["instruction"]])
        costs.append(
            LayerCost(
                layer=entry["layer"],
                kind=Opcode(fields["opcode"]),
                shape=tuple(entry["shape"]),
                macs=entry["macs"],
                array_cycles=array_cycles(machine, fields),
                drains=len(drain_steps(fields)),
                cycles=layer_cycles(machine, fields),
            )
        )
    size = program.metadata["image"]["bytes"] + program.metadata["result"]["bytes"]
    return Description(
        layers=tuple(costs),
        transfer_cycles=size // BEAT_BYTES,
        capacity=machine.macs_per_cycle,
    )
