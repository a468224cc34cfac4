# SPDX-License-Identifier: Apache-2.0
"""What instructions wait for: whatever is under way and touches the words that they touch.

A layer, a load and a store run side by side. An instruction waits for one of them if one of the two
writes what the other one reads or writes, and else for none: transfers then pass beside the layers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto

from tritone.spec.isa import (
    MAX_WINDOW_CHANNELS,
    PASS_STEP,
    WINDOW_KERNEL,
    Base,
    MemoryId,
    Opcode,
)
from tritone.spec.machine import BEAT_BYTES, MachineConfig

__all__ = ["Instruction", "find_waits"]

Fields = Mapping[str, int]
Instruction = tuple[Opcode, Fields]


class _Space(Enum):
    """What can be written while something else is read."""

    FEATURE_0 = auto()
    FEATURE_1 = auto()
    WEIGHT = auto()
    PARAMETER = auto()
    TERMS = auto()
    PROGRAM = auto()


_LAYERS = (Opcode.CONVOLVE, Opcode.POOL)
_MEMORIES = {each: _Space[each.name] for each in MemoryId}
_GROUPS = (_Space.FEATURE_0, _Space.FEATURE_1)


@dataclass(frozen=True)
class _Extent:
    """Words, or bytes of external memory: from ``first`` up to ``end``."""

    space: _Space
    first: int
    end: int

    def overlaps(self, other: _Extent) -> bool:
        return self.space is other.space and self.first < other.end and other.first < self.end


@dataclass(frozen=True)
class _Use:
    """What an instruction reads and writes."""

    reads: tuple[_Extent, ...]
    writes: tuple[_Extent, ...]

    def meets(self, other: _Use) -> bool:
        """Return whether one of the two writes what the other one touches."""
        return _meet(self.writes, other.writes + other.reads) or _meet(self.reads, other.writes)


def _meet(ours: Sequence[_Extent], theirs: Sequence[_Extent]) -> bool:
    return any(one.overlaps(other) for one in ours for other in theirs)


def _load(fields: Fields, machine: MachineConfig) -> _Use:
    memory, first = MemoryId(fields["memory"]), fields["address"]
    words = fields["words"]
    if memory in (MemoryId.FEATURE_0, MemoryId.FEATURE_1):
        words = fields["rows"] * fields["row_words"]
        if fields["kernel"]:
            assert fields["channels"] <= MAX_WINDOW_CHANNELS
            taps = WINDOW_KERNEL * WINDOW_KERNEL * fields["channels"]
            words = -(-taps // machine.rows) * fields["plane_words"]
    reads: tuple[_Extent, ...] = ()
    if fields["source"] == Base.PROGRAM:
        end = fields["offset"] + fields["beats"] * BEAT_BYTES
        reads = (_Extent(_Space.PROGRAM, fields["offset"], end),)
    return _Use(reads, (_Extent(_MEMORIES[memory], first, first + words),))


def _store(fields: Fields, machine: MachineConfig) -> _Use:
    base, rows = fields["base"], fields["rows"]
    reads = (_Extent(_GROUPS[fields["group"]], base, base + rows * fields["row_words"]),)
    if fields["target"] != Base.PROGRAM:
        return _Use(reads, ())
    end = fields["offset"] + rows * fields["width"] * machine.rows
    return _Use(reads, (_Extent(_Space.PROGRAM, fields["offset"], end),))


def _layer(opcode: Opcode, fields: Fields, machine: MachineConfig) -> _Use:
    groups = fields["out_channels"]
    planes = -(-groups // fields["in_turn"]) * fields["in_channels"]
    first = fields["in_base"]
    end = first + (planes - 1) * fields["in_plane_words"]
    end += fields["in_height"] * fields["in_row_words"]
    reads = [_Extent(_GROUPS[fields["in_group"]], first, end)]
    added = min(fields["shortcut_groups"], groups)
    if added:
        rows = ((fields["out_height"] - 1) << fields["shortcut_stride"]) + 1
        first = fields["shortcut_base"]
        end = first + (-(-added // machine.word_columns) - 1) * fields["shortcut_plane_words"]
        end += rows * fields["shortcut_row_words"]
        reads.append(_Extent(_GROUPS[fields["out_group"]], first, end))
    first = fields["parameter_base"]
    end = first + groups * machine.requantizer_slots
    reads.append(_Extent(_Space.PARAMETER, first, end))
    if opcode is Opcode.CONVOLVE:
        steps = _steps(fields)
        for plane, packing in sorted({(step["plane"], step["packing"]) for step in steps}):
            first = fields["weight_base"] + plane * fields["plane_words"]
            words = groups * fields["group_words"] >> packing
            reads.append(_Extent(_Space.WEIGHT, first, first + words))
        if any(step["packing"] for step in steps):
            reads.append(_Extent(_Space.TERMS, fields["terms"], fields["terms"] + 1))
    first = fields["out_base"]
    end = first + fields["stored_rows"] * fields["out_row_words"]
    return _Use(tuple(reads), (_Extent(_GROUPS[fields["out_group"]], first, end),))


def _steps(fields: Fields) -> list[Fields]:
    mask = (1 << PASS_STEP.bits) - 1
    return [
        PASS_STEP.unpack(fields["steps"] >> (PASS_STEP.bits * index) & mask)
        for index in range(fields["pass_steps"])
    ]


class _Machine:
    """What may be under way, of each kind."""

    def __init__(self, machine: MachineConfig) -> None:
        self._machine = machine
        self._under_way: dict[str, tuple[_Use, ...]] = {
            "wait_load": (),
            "wait_layer": (),
            "wait_store": (),
        }

    def dispatch(self, opcode: Opcode, fields: Fields) -> dict[str, int]:
        """Return the flags that an instruction needs here; from now on it is under way itself."""
        match opcode:
            case Opcode.LOAD:
                own, use = "wait_load", _load(fields, self._machine)
            case Opcode.STORE:
                own, use = "wait_store", _store(fields, self._machine)
            case Opcode.CONVOLVE | Opcode.POOL:
                own, use = "wait_layer", _layer(opcode, fields, self._machine)
            case _:
                return dict.fromkeys(self._under_way, 0)
        waits = {}
        for kind, others in self._under_way.items():
            waits[kind] = int(kind != own and any(use.meets(other) for other in others))
            if waits[kind]:
                self._under_way[kind] = ()
        # The last image skips the load of the next one, which then waits for none.
        skipped = opcode is Opcode.LOAD and fields["source"] == Base.NEXT_IMAGE
        self._under_way[own] = (*(self._under_way[own] if skipped else ()), use)
        return waits


def find_waits(code: Sequence[Instruction], machine: MachineConfig) -> list[dict[str, int]]:
    """Return the flags of each instruction of a program whose last one, NEXT, closes its loop.

    The loop is gone through until no image adds a wait: at its begin the image before may still be
    under way.
    """
    state = _Machine(machine)
    waits = [
        {"wait_load": 0, "wait_layer": int(opcode in _LAYERS), "wait_store": 0}
        for opcode, _ in code
    ]

    def go_through(first: int) -> bool:
        """Add what is needed from an instruction on; return whether that is anything."""
        added = False
        for index in range(first, len(code)):
            for kind, needed in state.dispatch(*code[index]).items():
                added |= needed > waits[index][kind]
                waits[index][kind] |= needed
        return added

    go_through(0)
    while go_through(code[-1][1]["target"]):
        pass
    return waits
