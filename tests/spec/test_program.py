# SPDX-License-Identifier: Apache-2.0
"""The program container: round trip, and every damaged file refused with one clear sentence."""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path

import pytest

from tritone.spec.machine import preset
from tritone.spec.program import Program

TINY = preset("tiny")
HEADER_BYTES = 64


def sample(instructions: int = 2) -> Program:
    """Return a program of two instructions and 16 bytes of data."""
    payload = bytes(range(64)) + bytes(reversed(range(64))) + b"data and padding"
    return Program(
        machine=TINY,
        instructions=instructions,
        payload=payload,
        metadata={"network": "sample", "tensors": [{"name": "t", "shape": [1, 2, 3]}]},
    )


def test_round_trip(tmp_path: Path) -> None:
    """What is saved is loaded again, with its machine and metadata."""
    path = tmp_path / "program.bin"
    sample().save(path)
    assert Program.load(path) == sample()


def test_the_file_is_what_its_docstring_says() -> None:
    """Header of 64 bytes, payload, JSON; read here without the class."""
    data = sample().to_bytes()
    magic, version, fingerprint, instructions, metadata_bytes, payload_bytes, digest = (
        struct.unpack("<4sIQIIQ32s", data[:HEADER_BYTES])
    )
    assert (magic, version, fingerprint, instructions) == (b"TRIT", 1, TINY.fingerprint, 2)
    assert data[HEADER_BYTES : HEADER_BYTES + payload_bytes] == sample().payload
    assert len(data) == HEADER_BYTES + payload_bytes + metadata_bytes
    blank = data[:32] + bytes(32) + data[HEADER_BYTES:]
    assert hashlib.sha256(blank).digest() == digest


def test_instruction_words_are_little_endian() -> None:
    """Instruction i is the integer in bytes 64 i .. 64 i + 63, lowest byte first."""
    words = sample().instruction_words()
    assert len(words) == 2
    assert words[0] & 0xFFFFFF == 0x020100
    assert words[1] & 0xFFFF == 0x3E3F


def test_any_flipped_bit_is_refused() -> None:
    """No bit of the file can change unnoticed."""
    whole = sample().to_bytes()
    for bit in range(8 * len(whole)):
        data = bytearray(whole)
        data[bit // 8] ^= 1 << bit % 8
        with pytest.raises(ValueError, match=r"^Program must "):
            Program.from_bytes(bytes(data))


@pytest.mark.parametrize("length", [0, 3, 63, 64, 100, len(sample().to_bytes()) - 1])
def test_a_truncated_file_is_refused(length: int) -> None:
    """A file that ends early names what is missing."""
    with pytest.raises(
        ValueError, match=r"^Program must (begin with a header of 64 bytes|be \d+ bytes long)"
    ):
        Program.from_bytes(sample().to_bytes()[:length])


def test_a_longer_file_is_refused() -> None:
    """Bytes behind the end are refused too."""
    with pytest.raises(ValueError, match=r"^Program must be \d+ bytes long as its header says"):
        Program.from_bytes(sample().to_bytes() + b"\0")


def test_an_edited_file_is_refused() -> None:
    """A changed byte of the payload is told by the SHA-256."""
    data = bytearray(sample().to_bytes())
    data[HEADER_BYTES + 5] ^= 0x80
    with pytest.raises(ValueError, match=r"^Program must have the SHA-256 in its header; it was"):
        Program.from_bytes(bytes(data))


def resealed(data: bytes) -> bytes:
    """Return ``data`` with the SHA-256 made right, as a forger would."""
    digest = hashlib.sha256(data[:32] + bytes(32) + data[HEADER_BYTES:]).digest()
    return data[:32] + digest + data[HEADER_BYTES:]


def test_another_version_is_refused() -> None:
    """A container of version 2 is not read as version 1."""
    data = sample().to_bytes()
    with pytest.raises(ValueError, match=r"^Program must have container version 1, not 2$"):
        Program.from_bytes(resealed(data[:4] + struct.pack("<I", 2) + data[8:]))


def test_a_foreign_fingerprint_is_refused() -> None:
    """The fingerprint in the header must be that of the machine in the metadata."""
    data = sample().to_bytes()
    forged = resealed(data[:8] + struct.pack("<Q", TINY.fingerprint ^ 1) + data[16:])
    with pytest.raises(ValueError, match=r"^Program must have the fingerprint of its machine and"):
        Program.from_bytes(forged)


def test_a_program_for_another_machine_is_refused() -> None:
    """Both machines are named."""
    sample().require_machine(TINY)
    with pytest.raises(
        ValueError, match=r"^Program must be compiled for demo \([0-9a-f]{16}\), not tiny \("
    ):
        sample().require_machine(preset("demo"))


def test_what_makes_no_program() -> None:
    """No instructions, more than there are bytes, and a ragged payload are refused."""
    for instructions in (0, 3):
        with pytest.raises(ValueError, match=r"^Program must hold its instructions, not "):
            sample(instructions)
    with pytest.raises(ValueError, match=r"^Program payload must be a multiple of 8 bytes, not 65"):
        Program(machine=TINY, instructions=1, payload=bytes(65), metadata={})
