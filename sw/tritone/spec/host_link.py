# SPDX-License-Identifier: Apache-2.0
"""The frames between a host and a board: bytes over a serial port, 8 bits, no parity, one stop bit.

A frame is HEADER, as many beats of data as its operation carries, and the CRC-32 (IEEE 802.3, that
of ``zlib.crc32``) of all of that, least significant byte first. On the wire it stands between two
END bytes; within it END and ESCAPE are written as ESCAPE and a second byte (RFC 1055, SLIP). So a
receiver that has lost its place finds the next frame at the next END, whatever came before, and
nothing between two END bytes is no frame.

The host asks and waits for the answer: HEADER as it was asked, with an Answer for its code and the
beats that follow for its beats. What comes while a board answers is dropped up to the next END.
A damaged frame changes nothing on the board; every operation may be asked again.
"""

from __future__ import annotations

from enum import IntEnum

from tritone.spec.machine import BEAT_BITS
from tritone.spec.record import Field, Record

__all__ = [
    "BAUD",
    "CRC_BYTES",
    "END",
    "ESCAPE",
    "ESCAPED",
    "HEADER",
    "IDENTITY",
    "LINK_VERSION",
    "MAX_BEATS",
    "Answer",
    "Operation",
]

# Changes with the meaning of a byte.
LINK_VERSION = 1

# Bits a second of the boards here: their clocks are multiples of it, and USB bridges know it.
BAUD = 1_000_000

END = 0xC0
ESCAPE = 0xDB
# What stands behind ESCAPE in the place of each byte.
ESCAPED = {END: 0xDC, ESCAPE: 0xDD}

CRC_BYTES = 4

# Beats of a frame at most; a board holds those of a write until it has seen the CRC.
MAX_BEATS = 128


class Operation(IntEnum):
    """What a host asks."""

    IDENTIFY = 1  # answered with IDENTITY
    READ_MEMORY = 2  # answered with as many beats as the header says, from its address on
    WRITE_MEMORY = 3  # carries them
    READ_REGISTER = 4  # answered with a beat, the register in its lower half
    WRITE_REGISTER = 5  # carries such a beat


class Answer(IntEnum):
    """How a board answers; no answer is an operation, so that an echo is no answer."""

    OK = 0x80
    DAMAGED = 0x81  # a wrong CRC or length; the rest of the header means nothing
    UNKNOWN = 0x82  # no such operation
    OUTSIDE = 0x83  # beats that memory does not have, or more than MAX_BEATS, or none
    REFUSED = 0x84  # the bus of the registers answered with an error


HEADER = Record(
    "frame_header",
    BEAT_BITS,
    "begins every frame between a host and a board",
    (
        Field("code", 8, "Operation, or Answer in an answer"),
        Field("tag", 8, "any value; the answer has the same"),
        Field("beats", 16, "beats that are read or written"),
        Field("address", 32, "byte address of memory, a multiple of 8, or of a register"),
    ),
)

IDENTITY = Record(
    "board_identity",
    2 * BEAT_BITS,
    "what a board answers to IDENTIFY",
    (
        Field("version", 16, "LINK_VERSION"),
        Field("damaged", 16, "frames answered DAMAGED since reset, modulo 65536"),
        Field("memory_beats", 32, "beats of memory, from address 0 on"),
        Field("clock_hz", 32, "clock of the machine"),
    ),
)
