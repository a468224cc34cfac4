# SPDX-License-Identifier: Apache-2.0
"""Instructions taken apart; what no machine can execute is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tritone.spec.isa import (
    HEADER,
    MAX_PASS_STEPS,
    PASS_STEP,
    RECORDS,
    Adaptation,
    Opcode,
    Packing,
)
from tritone.spec.machine import MachineConfig

__all__ = ["Fields", "decode", "pass_steps"]

Fields = Mapping[str, int]

# What a layer counts through.
_LAYER_SIZES = (
    "in_channels",
    "in_width",
    "in_height",
    "out_width",
    "out_height",
    "out_channels",
    "in_turn",
    "stored_rows",
    "kernel_height",
    "kernel_width",
)


def decode(index: int, word: int, machine: MachineConfig) -> tuple[Opcode, Fields]:
    """Return opcode and fields of instruction ``index`` of a program for ``machine``.

    Raises
    ------
    ValueError : an opcode that there is not, or a layer that would not end or mean anything.
    """
    number = word & HEADER.fields[0].high
    if number not in set(Opcode):
        raise ValueError(f"Instruction {index} must have a known opcode, not {number}")
    opcode = Opcode(number)
    fields = RECORDS[opcode].unpack(word)
    if opcode in (Opcode.CONVOLVE, Opcode.POOL):
        _require_layer(index, fields, machine)
    return opcode, fields


def _require_layer(index: int, fields: Fields, machine: MachineConfig) -> None:
    empty = [name for name in _LAYER_SIZES if not fields[name]]
    if empty or fields["stride"] not in (1, 2):
        raise ValueError(
            f"Instruction {index} must have sizes of at least 1 and a stride of 1 or 2, "
            f"not {', '.join([f'{name} 0' for name in empty] or [str(fields['stride'])])}"
        )
    if fields["shortcut_groups"] and fields["in_group"] == fields["out_group"]:
        raise ValueError(
            f"Instruction {index} must read its shortcut from another group than its "
            f"input, not both from {fields['in_group']}"
        )
    if fields["adaptation"] and not machine.adaptive:
        raise ValueError(
            f"Instruction {index} must have no adaptive step on a machine without them, "
            f"not {Adaptation(fields['adaptation']).name}"
        )
    packings = max(Packing) if machine.packing else Packing.NIBBLES
    wrong = [step["packing"] for step in _steps(fields) if step["packing"] > packings]
    if wrong:
        raise ValueError(
            f"Instruction {index} must have packings of at most {int(packings)} on this machine, "
            f"not {wrong[0]}"
        )


def _steps(fields: Fields) -> list[dict[str, int]]:
    """Return all pass steps that a layer has room for."""
    mask = (1 << PASS_STEP.bits) - 1
    return [
        PASS_STEP.unpack(fields["steps"] >> (PASS_STEP.bits * index) & mask)
        for index in range(MAX_PASS_STEPS)
    ]


def pass_steps(fields: Fields) -> Sequence[Fields]:
    """Return the pass steps of a layer; the last one must drain."""
    count = fields["pass_steps"]
    if not 1 <= count <= MAX_PASS_STEPS:
        raise ValueError(f"Layer must have 1..{MAX_PASS_STEPS} pass steps, not {count}")
    steps = _steps(fields)[:count]
    if not steps[-1]["drain"]:
        raise ValueError("Layer must drain with its last pass step")
    return steps
