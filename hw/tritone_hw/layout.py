# SPDX-License-Identifier: Apache-2.0
"""The bridge from ``tritone.spec`` to Amaranth shapes."""

from __future__ import annotations

from amaranth.hdl import Shape
from amaranth.lib.data import ArrayLayout, StructLayout, UnionLayout
from amaranth.utils import ceil_log2

from tritone.spec.fixed import NIBBLE_BITS
from tritone.spec.isa import HEADER, INSTRUCTION_BITS, MAX_PASS_STEPS, PASS_STEP, RECORDS
from tritone.spec.machine import BEAT_BITS, MachineConfig
from tritone.spec.packing import TERMS
from tritone.spec.pass_plan import TABLE_ENTRIES
from tritone.spec.record import Record

__all__ = [
    "INSTRUCTION",
    "MEMORY_WRITE",
    "NO_COLLISIONS",
    "PASS_STEPS",
    "PLANES_TERMS",
    "PLANE_TERMS",
    "TABLE",
    "feature_read_layout",
    "feature_write_layout",
    "record_layout",
]


def record_layout(record: Record) -> StructLayout:
    """Return the layout of ``record``: its fields, then its reserved bits as ``reserved_``."""
    members = {field.name: Shape(field.bits, signed=field.signed) for field in record.fields}
    if record.used_bits < record.bits:
        members["reserved_"] = Shape(record.bits - record.used_bits)
    return StructLayout(members)


# What a LOAD of weights translates nibbles by.
TABLE = ArrayLayout(NIBBLE_BITS, TABLE_ENTRIES)

# What the packed codes of a plane stand for; a TERMS record begins with those of all planes.
PLANE_TERMS = StructLayout({"base": NIBBLE_BITS, "low": NIBBLE_BITS, "high": NIBBLE_BITS})
PLANES_TERMS = ArrayLayout(PLANE_TERMS, TERMS.used_bits // PLANE_TERMS.size)

PASS_STEPS = ArrayLayout(record_layout(PASS_STEP), MAX_PASS_STEPS)

# An instruction: every record over the same 512 bits.
INSTRUCTION = UnionLayout(
    {record.name: record_layout(record) for record in dict.fromkeys((HEADER, *RECORDS.values()))}
    | {"bits": Shape(INSTRUCTION_BITS)}
)

# A beat of a word of a weight or parameter memory; ``last`` is that of the word.
MEMORY_WRITE = StructLayout({"memory": 3, "address": 16, "beat": 8, "last": 1, "data": BEAT_BITS})


# Attribute of a memory whose user never needs what a port reads at an address that the other one
# writes in the same cycle. Without it yosys builds the old value around a block memory that does
# not give it: registers and multiplexers as wide as all banks together.
NO_COLLISIONS = {"no_rw_check": 1}


def feature_read_layout(machine: MachineConfig) -> StructLayout:
    """Return the layout of a request for a word of a feature memory."""
    return StructLayout(
        {
            "group": 1,
            "bank": ceil_log2(machine.banks),
            "address": machine.feature_address_bits,
        }
    )


def feature_write_layout(machine: MachineConfig) -> StructLayout:
    """Return the layout of a word that goes to a feature memory, whole."""
    return StructLayout(
        {
            "group": 1,
            "bank": ceil_log2(machine.banks),
            "address": machine.feature_address_bits,
            "data": machine.feature_word_bits,
        }
    )
