# SPDX-License-Identifier: Apache-2.0
"""How many cycles the layer engine takes, from the fields of a layer alone.

The constants describe the gateware, which does not read them: its tests compare the two.
"""

from __future__ import annotations

from collections.abc import Mapping

from tritone.spec.isa import PASS_STEP, Opcode
from tritone.spec.machine import MachineConfig

__all__ = [
    "START",
    "array_cycles",
    "array_latency",
    "drain_steps",
    "flush",
    "layer_cycles",
    "pool_latency",
    "requantizer_latency",
]

# From a layer's acceptance to its first step.
START = 3
# From a step to the activations that it reads, and from results to the feature memory.
_READER = 5
_WRITE_BACK = 1


def array_latency(machine: MachineConfig) -> int:
    """Return the cycles from a step to the array's sums: lookup, terms, tree, accumulators."""
    return 3 + machine.tree_levels


def pool_latency(machine: MachineConfig) -> int:
    """Return the cycles from a step to the pool's sums: selection, accumulators."""
    return 2


def requantizer_latency(machine: MachineConfig) -> int:
    """Return the cycles from sums to results: 13 for the lanes, and one for each slot."""
    return 13 + machine.requantizer_slots


def flush(machine: MachineConfig, opcode: Opcode) -> int:
    """Return the cycles from behind a layer's last step to the first one in which it has ended."""
    sums = array_latency(machine) if opcode == Opcode.CONVOLVE else pool_latency(machine)
    return _READER + sums + requantizer_latency(machine) + _WRITE_BACK


def drain_steps(layer: Mapping[str, int]) -> tuple[int, ...]:
    """Return the steps of each drain of a tile of ``layer``, a LAYER record's fields."""
    walk = layer["kernel_height"] * layer["kernel_width"] * layer["in_channels"]
    steps = [0]
    for index in range(layer["pass_steps"]):
        word = layer["steps"] >> index * PASS_STEP.bits & ((1 << PASS_STEP.bits) - 1)
        steps[-1] += walk
        if PASS_STEP.unpack(word)["drain"]:
            steps.append(0)
    return tuple(steps[:-1])


def _tiles(machine: MachineConfig, layer: Mapping[str, int]) -> int:
    """Return the tiles of all rows of all output groups."""
    across = -(-layer["out_width"] // machine.pixels)
    return across * layer["out_height"] * layer["out_channels"]


def layer_cycles(machine: MachineConfig, layer: Mapping[str, int]) -> int:
    """Return the cycles from the one that accepts ``layer`` to the first in which it has ended.

    A drain comes at least ``requantizer_slots`` cycles behind the one before it.
    """
    of_a_tile = sum(max(steps, machine.requantizer_slots) for steps in drain_steps(layer))
    return START + _tiles(machine, layer) * of_a_tile + flush(machine, Opcode(layer["opcode"]))


def array_cycles(machine: MachineConfig, layer: Mapping[str, int]) -> int:
    """Return the cycles in which the array takes a step; 0 for POOL."""
    if layer["opcode"] != Opcode.CONVOLVE:
        return 0
    return _tiles(machine, layer) * sum(drain_steps(layer))
