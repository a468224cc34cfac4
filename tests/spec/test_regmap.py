# SPDX-License-Identifier: Apache-2.0
"""The register map: addresses that drivers rely on."""

from __future__ import annotations

import pytest

from tritone.spec.regmap import (
    REGISTER_BYTES,
    REGISTERS,
    Access,
    Control,
    ErrorCode,
    Status,
    register,
)


def test_addresses_are_words_in_order() -> None:
    """Each register has a word of its own, without gaps."""
    assert [each.address for each in REGISTERS] == list(range(0, REGISTER_BYTES, 4))
    assert len({each.name for each in REGISTERS}) == len(REGISTERS)


def test_frozen_addresses() -> None:
    """Drivers keep working: addresses by hand."""
    frozen = {
        "control": 0x00,
        "status": 0x04,
        "error": 0x08,
        "fingerprint_low": 0x10,
        "program_address": 0x1C,
        "image_count": 0x30,
        "cycles_low": 0x38,
        "array_cycles_low": 0x40,
        "write_beats": 0x4C,
    }
    assert {name: register(name).address for name in frozen} == frozen


def test_what_the_host_may_write() -> None:
    """Settings are read-write; everything that the machine reports is read-only."""
    writable = {each.name for each in REGISTERS if each.access is Access.READ_WRITE}
    assert writable == {
        "control",
        "program_address",
        "program_instructions",
        "image_address",
        "result_address",
        "dump_address",
        "image_count",
    }


def test_frozen_bits_and_codes() -> None:
    """Bits and error codes keep their numbers."""
    assert [(each.name, each.value) for each in Control] == [
        ("START", 1),
        ("DUMP", 2),
        ("INTERRUPT_ENABLE", 4),
    ]
    assert [(each.name, each.value) for each in Status] == [("BUSY", 1), ("DONE", 2), ("ERROR", 4)]
    assert [each.name for each in ErrorCode] == [
        "NONE",
        "ILLEGAL_INSTRUCTION",
        "FINGERPRINT_MISMATCH",
        "READ_ERROR",
        "WRITE_ERROR",
        "PROGRAM_TOO_LONG",
    ]


def test_unknown_registers_are_refused() -> None:
    """A wrong name gets the list of the right ones."""
    with pytest.raises(ValueError, match=r"^Register must be one of control, .*, not 'speed'$"):
        register("speed")
