# SPDX-License-Identifier: Apache-2.0
"""The shapes of the gateware are the records of the specification."""

import random

import pytest

from tritone.spec.array_code import TERM_CODE
from tritone.spec.isa import HEADER, PARAMETER, PASS_STEP, RECORDS
from tritone.spec.machine import preset
from tritone.spec.record import Record
from tritone_hw.layout import (
    INSTRUCTION,
    feature_read_layout,
    feature_write_layout,
    record_layout,
)

ALL = list(dict.fromkeys((HEADER, *RECORDS.values(), PASS_STEP, PARAMETER, TERM_CODE)))


@pytest.mark.parametrize("record", ALL, ids=lambda record: record.name)
def test_fields_lie_where_the_record_packs_them(record: Record) -> None:
    """A packed word, seen through the layout, has the values that went in."""
    rng = random.Random(record.name)
    layout = record_layout(record)
    assert layout.size == record.bits
    for _ in range(20):
        values = {field.name: rng.randint(field.low, field.high) for field in record.fields}
        seen = layout.from_bits(record.pack(values))
        assert {name: int(seen[name]) for name in values} == values


@pytest.mark.parametrize("record", list(dict.fromkeys(RECORDS.values())), ids=lambda r: r.name)
def test_an_instruction_is_seen_as_any_record(record: Record) -> None:
    """The union starts all records at bit 0."""
    assert INSTRUCTION.size == 512
    values = {field.name: field.high for field in record.fields}
    seen = INSTRUCTION.from_bits(record.pack(values))
    assert {name: int(seen[record.name][name]) for name in values} == values
    assert int(seen.header.opcode) == values["opcode"]


@pytest.mark.parametrize(("name", "bank_bits"), [("tiny", 1), ("tiny-p2", 2), ("tiny-p4", 3)])
def test_a_place_in_feature_memory(name: str, bank_bits: int) -> None:
    """2P banks; a word has the R bytes of a pixel."""
    machine = preset(name)
    place = feature_read_layout(machine)
    assert place["bank"].width == bank_bits
    write = feature_write_layout(machine)
    assert write["data"].width == 8 * machine.rows
    assert write.size == 1 + bank_bits + 9 + 8 * machine.rows  # 512 words
