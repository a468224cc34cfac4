# SPDX-License-Identifier: Apache-2.0
"""Which words an instruction touches, one by one, and whether those beside each other share any."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from tritone.spec.isa import HEADER, PASS_STEP, RECORDS, WINDOW_KERNEL, Base, MemoryId, Opcode
from tritone.spec.machine import MachineConfig
from tritone.spec.program import Program

Fields = dict[str, int]
Words = set[tuple[str, int]]
LAYERS = (Opcode.CONVOLVE, Opcode.POOL)


@dataclass
class Touched:
    """What something under way reads and writes."""

    reads: Words = field(default_factory=set)
    writes: Words = field(default_factory=set)

    def meets(self, other: Touched) -> Words:
        """Return what one of the two writes and the other one reads or writes."""
        return self.writes & (other.reads | other.writes) | self.reads & other.writes


def decode(program: Program) -> list[tuple[Opcode, Fields]]:
    """Return the instructions of ``program``."""
    mask = HEADER.fields[0].high
    return [
        (Opcode(word & mask), RECORDS[Opcode(word & mask)].unpack(word))
        for word in program.instruction_words()
    ]


def run_order(program: Program, images: int) -> Iterator[int]:
    """Yield the indices of the instructions of a run in the order of their dispatch.

    The last image skips the load of the next one.
    """
    decoded, index = decode(program), 0
    while images:
        opcode, fields = decoded[index]
        if images > 1 or opcode is not Opcode.LOAD or fields["source"] != Base.NEXT_IMAGE:
            yield index
        index += 1
        if opcode is Opcode.NEXT:
            index, images = fields["target"], images - 1


def _rows(group: int, base: int, rows: int, row_words: int) -> Words:
    return {(f"feature {group}", base + word) for word in range(rows * row_words)}


def _planes(group: int, base: int, plane_words: int, planes: int, words: int) -> Words:
    return {
        (f"feature {group}", base + plane * plane_words + word)
        for plane in range(planes)
        for word in range(words)
    }


def _layer(machine: MachineConfig, opcode: Opcode, fields: Fields) -> Touched:
    touched = Touched()
    groups, first = fields["out_channels"], fields["parameter_base"]
    words = range(first, first + groups * machine.requantizer_slots)
    touched.reads |= {("parameter", word) for word in words}
    if opcode is Opcode.CONVOLVE:
        for index in range(fields["pass_steps"]):
            word = fields["steps"] >> PASS_STEP.bits * index & ((1 << PASS_STEP.bits) - 1)
            step = PASS_STEP.unpack(word)
            base = fields["weight_base"] + step["plane"] * fields["plane_words"]
            words = range(base, base + groups * fields["group_words"] // (1 << step["packing"]))
            if step["packing"]:
                touched.reads.add(("terms", fields["terms"]))
            touched.reads |= {("weight", word) for word in words}
    planes = -(-groups // fields["in_turn"]) * fields["in_channels"]
    touched.reads |= _planes(
        fields["in_group"],
        fields["in_base"],
        fields["in_plane_words"],
        planes,
        fields["in_height"] * fields["in_row_words"],
    )
    added = min(fields["shortcut_groups"], groups)
    if added:
        rows = ((fields["out_height"] - 1) << fields["shortcut_stride"]) + 1
        touched.reads |= _planes(
            fields["out_group"],
            fields["shortcut_base"],
            fields["shortcut_plane_words"],
            -(-added // machine.word_columns),
            rows * fields["shortcut_row_words"],
        )
    touched.writes |= _planes(
        fields["out_group"],
        fields["out_base"],
        fields["out_plane_words"],
        -(-groups // machine.word_columns),
        fields["out_height"] * fields["out_row_words"],
    )
    return touched


def _load(machine: MachineConfig, fields: Fields) -> Touched:
    touched = Touched()
    if fields["source"] == Base.PROGRAM:
        touched.reads |= {("program", fields["offset"] // 8 + n) for n in range(fields["beats"])}
    memory, first = MemoryId(fields["memory"]), fields["address"]
    if memory in (MemoryId.WEIGHT, MemoryId.PARAMETER, MemoryId.TERMS):
        name = memory.name.lower()
        touched.writes |= {(name, word) for word in range(first, first + fields["words"])}
        return touched
    group = int(memory is MemoryId.FEATURE_1)
    if fields["kernel"]:
        taps = WINDOW_KERNEL * WINDOW_KERNEL * fields["channels"]
        planes, words = -(-taps // machine.rows), fields["plane_words"]
        touched.writes |= _planes(group, first, words, planes, words)
    else:
        touched.writes |= _rows(group, first, fields["rows"], fields["row_words"])
    return touched


def _store(machine: MachineConfig, fields: Fields) -> Touched:
    rows = fields["rows"]
    touched = Touched(reads=_rows(fields["group"], fields["base"], rows, fields["row_words"]))
    if fields["target"] == Base.PROGRAM:
        beats = rows * fields["width"] * machine.rows // 8
        touched.writes |= {("program", fields["offset"] // 8 + beat) for beat in range(beats)}
    return touched


def _touched(machine: MachineConfig, opcode: Opcode, fields: Fields) -> Touched:
    match opcode:
        case Opcode.CONVOLVE | Opcode.POOL:
            return _layer(machine, opcode, fields)
        case Opcode.LOAD:
            return _load(machine, fields)
        case Opcode.STORE:
            return _store(machine, fields)
        case _:
            return Touched()


def require_no_hazard(program: Program, images: int = 3) -> int:
    """Check what may be under way at each dispatch; return how many constants come beside a layer.

    Nothing may write what anything beside it reads or writes.
    """
    decoded = decode(program)
    touched = [_touched(program.machine, opcode, fields) for opcode, fields in decoded]
    # The instruction that has begun each, if it may be under way.
    under_way: dict[str, int | None] = {"load": None, "layer": None, "store": None}
    checked: set[tuple[int | None, ...]] = set()
    beside = 0
    for index in run_order(program, images):
        opcode, fields = decoded[index]
        for kind in under_way:
            if fields[f"wait_{kind}"]:
                under_way[kind] = None
        own = "layer" if opcode in LAYERS else opcode.name.lower()
        if own not in under_way:
            continue
        under_way[own] = index
        state = (index, *under_way.values())
        if state not in checked:
            checked.add(state)
            for kind, other in under_way.items():
                if kind != own and other is not None:
                    assert not touched[index].meets(touched[other]), (index, other)
        if own == "load" and fields["memory"] in (MemoryId.WEIGHT, MemoryId.PARAMETER):
            beside += under_way["layer"] is not None
    return beside
