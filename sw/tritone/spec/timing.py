# SPDX-License-Identifier: Apache-2.0
"""How many cycles the blocks take: the layer engine, from the fields of a layer alone, and others.

The constants describe the gateware, which does not read them: its tests compare the two.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from tritone.spec.isa import PASS_STEP, Adaptation, Opcode
from tritone.spec.machine import ArrayKind, MachineConfig, RequantizerKind
from tritone.spec.pass_plan import TABLE_ENTRIES

__all__ = [
    "FEATURE_READ_LATENCY",
    "INSTRUCTION_CYCLES",
    "LOOKUP_CYCLES",
    "READ_REQUEST_LATENCY",
    "RECIPROCAL_CYCLES",
    "START",
    "TRANSFER_START",
    "PortUse",
    "array_cycles",
    "array_latency",
    "drain_steps",
    "flush",
    "layer_cycles",
    "pool_latency",
    "reader_latency",
    "requantizer_latency",
]

# From a layer's acceptance to its first step.
START = 3
# From results to the feature memory.
_WRITE_BACK = 1
# From sums to the first results.
_LANES = {RequantizerKind.MULTIPLIER: 13, RequantizerKind.HALF_OCTAVE: 14}
# From copies of activations to terms; from sums of bit planes to their joint one.
_TERMS = {ArrayKind.POST: 1, ArrayKind.UNIFORM: 0, ArrayKind.POT: 2}
_JOINTS = {ArrayKind.POST: 0, ArrayKind.UNIFORM: 2, ArrayKind.POT: 0}
# From a step, and from the hand-over of sums, to the cycle in which a feature memory is read.
_WINDOW = 1
_LINE = 0
# By which a layer that makes a beta ends later: a bit of its reciprocal each.
RECIPROCAL_CYCLES = 10

# From the dispatch of an instruction to that of the next one, if nothing keeps it waiting.
INSTRUCTION_CYCLES = 12
# From the dispatch of a load or store to its begin.
TRANSFER_START = 1
# From the begin of a load to its first request on the bus.
READ_REQUEST_LATENCY = 3
# From the begin of a load of weights to the first beat that it takes: a cycle for each entry of its
# table.
LOOKUP_CYCLES = TABLE_ENTRIES + 1
# From a transfer's request to a feature memory to its data.
FEATURE_READ_LATENCY = 3


def reader_latency(machine: MachineConfig) -> int:
    """Return the cycles from a step to its activations; one is for the product with G."""
    return 6 + machine.adaptive


def array_latency(machine: MachineConfig) -> int:
    """Return the cycles from a step to the array's sums.

    Copies, terms, adder tree, joints of bit planes, accumulators.
    """
    return 2 + _TERMS[machine.array] + machine.tree_levels + _JOINTS[machine.array] + 1


def pool_latency(machine: MachineConfig) -> int:
    """Return the cycles from a step to the pool's sums: selection, accumulators."""
    return 2


def requantizer_latency(machine: MachineConfig) -> int:
    """Return the cycles from sums to results: those of the lanes, and one for each slot."""
    return _LANES[machine.requantizer] + machine.requantizer_slots


def flush(machine: MachineConfig, opcode: Opcode) -> int:
    """Return the cycles from behind a layer's last step to the first one in which it has ended."""
    sums = array_latency(machine) if opcode == Opcode.CONVOLVE else pool_latency(machine)
    return reader_latency(machine) + sums + requantizer_latency(machine) + _WRITE_BACK


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
    cycles = START + _tiles(machine, layer) * of_a_tile + flush(machine, Opcode(layer["opcode"]))
    return cycles + RECIPROCAL_CYCLES * (layer["adaptation"] == Adaptation.BETA)


def array_cycles(machine: MachineConfig, layer: Mapping[str, int]) -> int:
    """Return the cycles in which the array takes a step; 0 for POOL."""
    if layer["opcode"] != Opcode.CONVOLVE:
        return 0
    return _tiles(machine, layer) * sum(drain_steps(layer))


class PortUse:
    """In which cycles a layer uses the ports of the feature memory's groups.

    Cycles count from the one that accepts the layer.

    Parameters
    ----------
    machine : shape of the machine.
    layer : fields of a LAYER record.
    """

    def __init__(self, machine: MachineConfig, layer: Mapping[str, int]) -> None:
        self._machine = machine
        self._layer = layer
        self._opcode = Opcode(layer["opcode"])
        self._tiles = _tiles(machine, layer)
        self._in_group, self._out_group = layer["in_group"], layer["out_group"]
        self._line_tiles = self._tiles // layer["out_channels"] * layer["shortcut_groups"]
        sums = reader_latency(machine) + self._sums
        self._first_line = START + sums + _LINE - 1
        self._first_tile = START + flush(machine, self._opcode) - 1

    @property
    def _sums(self) -> int:
        machine = self._machine
        convolve = self._opcode == Opcode.CONVOLVE
        return array_latency(machine) if convolve else pool_latency(machine)

    @cached_property
    def _steps(self) -> tuple[bool, ...]:
        """For each cycle of a tile: a step is issued. A drain waits for its slots to pass."""
        steps: list[bool] = []
        for drain in drain_steps(self._layer):
            idle = max(0, self._machine.requantizer_slots - drain)
            steps += [True] * (drain - 1) + [False] * idle + [True]
        return tuple(steps)

    @property
    def cycles(self) -> int:
        """Cycles from the one that accepts the layer to the first in which it has ended."""
        return layer_cycles(self._machine, self._layer)

    def _ends_tile(self, since_first: int, tiles: int) -> bool:
        """Return whether a tile's last step lies so many cycles behind the layer's first one."""
        period = len(self._steps)
        return 0 < since_first <= tiles * period and since_first % period == 0

    def reads(self, group: int, cycle: int) -> bool:
        """Return whether the layer keeps transfers from reading ``group`` in ``cycle``."""
        if group == self._in_group:
            since = cycle - START - _WINDOW
            period = len(self._steps)
            if 0 <= since < self._tiles * period and self._steps[since % period]:
                return True
        # A line takes what transfers read through, of whichever group.
        return self._line_tiles > 0 and self._ends_tile(cycle - self._first_line, self._line_tiles)

    def writes(self, cycle: int) -> bool:
        """Return whether the layer keeps transfers from writing in ``cycle``: any group."""
        return self._ends_tile(cycle - self._first_tile, self._tiles)
