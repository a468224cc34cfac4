# SPDX-License-Identifier: Apache-2.0
"""Frozen bits: positions and numbers that stored programs rely on. A change raises ISA_VERSION."""

from __future__ import annotations

import pytest

from tritone.spec import isa
from tritone.spec.isa import (
    CHECK,
    HALF_PARAMETER,
    HEADER,
    ISA_VERSION,
    LAYER,
    LOAD,
    NEXT,
    PARAMETER,
    PASS_STEP,
    STORE,
    TERMS,
    Adaptation,
    Base,
    MemoryId,
    Opcode,
    Packing,
    PoolMode,
)
from tritone.spec.record import Record

# Written by hand from docs/reference.md of version 4: (record, field, offset, bits).
FROZEN = [
    (HEADER, "opcode", 0, 4),
    (HEADER, "wait_load", 4, 1),
    (HEADER, "wait_layer", 5, 1),
    (HEADER, "wait_store", 6, 1),
    (CHECK, "fingerprint", 8, 64),
    (LOAD, "source", 8, 2),
    (LOAD, "offset", 10, 32),
    (LOAD, "memory", 42, 3),
    (LOAD, "beats", 77, 24),
    (LOAD, "pixel_bytes", 141, 3),
    (LOAD, "kernel", 144, 4),
    (LOAD, "pad_code", 161, 8),
    (LOAD, "plane_words", 193, 16),
    (LOAD, "table", 209, 64),
    (STORE, "group", 42, 1),
    (STORE, "row_words", 87, 12),
    (NEXT, "target", 8, 16),
    (NEXT, "result_bytes", 48, 24),
    (LAYER, "in_group", 8, 1),
    (LAYER, "out_base", 93, 16),
    (LAYER, "stride", 197, 2),
    (LAYER, "pad_code", 235, 8),
    (LAYER, "steps", 295, 64),
    (LAYER, "low", 381, 16),
    (LAYER, "pool_mode", 414, 1),
    (LAYER, "out_group", 415, 1),
    (LAYER, "shortcut_base", 424, 16),
    (LAYER, "shortcut_zero", 469, 8),
    (LAYER, "shortcut_shift", 493, 5),
    (LAYER, "adaptation", 498, 2),
    (LAYER, "beta_register", 500, 2),
    (LAYER, "terms", 502, 4),
    (PASS_STEP, "drain", 5, 1),
    (PASS_STEP, "packing", 6, 2),
    (TERMS, "plane0_base", 0, 4),
    (TERMS, "plane1_low", 16, 4),
    (TERMS, "plane3_high", 44, 4),
    (PARAMETER, "bias", 0, 40),
    (PARAMETER, "multiplier", 40, 16),
    (PARAMETER, "offset", 56, 48),
    (HALF_PARAMETER, "bias", 0, 40),
    (HALF_PARAMETER, "turned", 40, 1),
    (HALF_PARAMETER, "shift", 41, 6),
    (HALF_PARAMETER, "offset", 47, 48),
]


@pytest.mark.parametrize(("record", "name", "offset", "bits"), FROZEN)
def test_fields_stay_where_they_are(record: Record, name: str, offset: int, bits: int) -> None:
    """A field keeps its place and width within version 4."""
    assert ISA_VERSION == 4
    found = {field.name: (place, field.bits) for place, field in record.placed()}
    assert found[name] == (offset, bits)


def test_numbers_of_enumerations_stay() -> None:
    """Opcodes, memories and bases keep their numbers."""
    assert {each.name: each.value for each in Opcode} == {
        "CHECK": 1,
        "LOAD": 2,
        "STORE": 3,
        "CONVOLVE": 4,
        "POOL": 5,
        "NEXT": 6,
    }
    assert [each.name for each in MemoryId] == [
        "WEIGHT",
        "PARAMETER",
        "FEATURE_0",
        "FEATURE_1",
        "TERMS",
    ]
    assert [each.name for each in Base] == ["PROGRAM", "IMAGE", "RESULT", "NEXT_IMAGE"]
    assert [each.name for each in PoolMode] == ["MAX", "SUM"]
    assert [each.name for each in Packing] == ["NIBBLES", "PAIRS", "BITS"]
    assert [each.name for each in Adaptation] == ["NONE", "BETA", "STEP", "ADAPTED"]


def test_a_load_assembled_by_hand() -> None:
    """LOAD 3 weight words from byte 0x140 of the program to word 2, 6 beats, waiting.

    Nibble 1 becomes the term 9, all others 0.
    """
    word = (
        2  # opcode LOAD
        | 1 << 4  # wait_load
        | 0 << 8  # from PROGRAM
        | 0x140 << 10
        | 0 << 42  # WEIGHT
        | 2 << 45  # address
        | 3 << 61  # words
        | 6 << 77  # beats
        | 9 << 213  # table
    )
    assert word == 9 << 213 | 0xC000_6000_4000_0005_0012
    assert LOAD.unpack(word) == {
        "opcode": Opcode.LOAD,
        "wait_load": 1,
        "wait_layer": 0,
        "wait_store": 0,
        "reserved": 0,
        "source": Base.PROGRAM,
        "offset": 0x140,
        "memory": MemoryId.WEIGHT,
        "address": 2,
        "words": 3,
        "beats": 6,
        "width": 0,
        "rows": 0,
        "row_words": 0,
        "pixel_bytes": 0,
        "kernel": 0,
        "channels": 0,
        "stride": 0,
        "pad_top": 0,
        "pad_left": 0,
        "pad_code": 0,
        "across": 0,
        "down": 0,
        "plane_words": 0,
        "table": 0x90,
    }
    assert LOAD.pack(LOAD.unpack(word)) == word


def test_instructions_share_their_header_and_size() -> None:
    """All instructions have 512 bits and begin with the fields of the header."""
    for record in isa.RECORDS.values():
        assert record.bits == isa.INSTRUCTION_BITS == 512
        assert record.fields[: len(HEADER.fields)] == HEADER.fields
    assert set(isa.RECORDS) == set(Opcode)
    assert isa.INSTRUCTION_BEATS == 8


def test_pass_steps_fit_their_field() -> None:
    """The field steps holds 8 records of a byte."""
    steps = next(field for field in LAYER.fields if field.name == "steps")
    assert steps.bits == isa.MAX_PASS_STEPS * PASS_STEP.bits == 64
