# SPDX-License-Identifier: Apache-2.0
"""The registers of the AXI4-Lite port: 32 bits each, at multiples of 4.

The two lowest address bits are ignored, byte strobes are honoured. An address behind the last
register reads 0 and answers DECERR, a write there answers DECERR; a write to a read-only register
changes nothing and answers SLVERR. The settings are taken over at START: a write while busy is for
the next run. A counter of two words is consistent while not busy.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum, IntFlag

__all__ = [
    "REGISTERS",
    "REGISTER_ADDRESS_BITS",
    "REGISTER_BYTES",
    "Access",
    "Control",
    "ErrorCode",
    "Register",
    "Status",
    "register",
]


class Access(Enum):
    """How the host may use a register."""

    READ = "read"
    READ_WRITE = "read-write"


class Control(IntFlag):
    """Bits of the register control."""

    START = 1  # written 1 while not busy: clear status, error and counters, and run
    DUMP = 2  # store every layer's output at the dump address, which advances
    INTERRUPT_ENABLE = 4  # drive the interrupt while done or error is set


class Status(IntFlag):
    """Bits of the register status: 0 after reset, then exactly one of them."""

    BUSY = 1  # from START until every transfer and layer has ended
    DONE = 2  # all images are finished
    ERROR = 4  # stopped early; the register error says why


class ErrorCode(IntEnum):
    """Why the machine stopped."""

    NONE = 0
    # unknown opcode, memory or address base, a size of 0, a layer whose last pass step does not
    # drain, or the end of the program without NEXT
    ILLEGAL_INSTRUCTION = 1
    FINGERPRINT_MISMATCH = 2  # the program is for another machine
    READ_ERROR = 3  # the bus answered a read with an error
    WRITE_ERROR = 4  # the bus answered a write with an error
    PROGRAM_TOO_LONG = 5  # more instructions than instruction memory holds, or none


@dataclass(frozen=True)
class Register:
    """One register."""

    name: str
    address: int
    access: Access
    doc: str


def _registers(*rows: tuple[str, Access, str]) -> tuple[Register, ...]:
    return tuple(
        Register(name, 4 * index, access, doc) for index, (name, access, doc) in enumerate(rows)
    )


REGISTERS = _registers(
    ("control", Access.READ_WRITE, "Control bits; START reads 0"),
    ("status", Access.READ, "Status bits"),
    ("error", Access.READ, "ErrorCode"),
    ("instruction", Access.READ, "index of the instruction that was decoded last"),
    ("fingerprint_low", Access.READ, "MachineConfig.fingerprint, bits 31..0"),
    ("fingerprint_high", Access.READ, "MachineConfig.fingerprint, bits 63..32"),
    ("version", Access.READ, "ISA_VERSION"),
    ("program_address", Access.READ_WRITE, "byte address of the program, a multiple of 8"),
    ("program_instructions", Access.READ_WRITE, "instructions in the program"),
    ("image_address", Access.READ_WRITE, "byte address of the first image, a multiple of 8"),
    ("result_address", Access.READ_WRITE, "byte address of the first result, a multiple of 8"),
    ("dump_address", Access.READ_WRITE, "byte address of the first dump, a multiple of 8"),
    ("image_count", Access.READ_WRITE, "images to run, at least 1"),
    (
        "images_done",
        Access.READ,
        "images whose layers have ended since start; the last result may still be on its way",
    ),
    ("cycles_low", Access.READ, "cycles since start while busy, bits 31..0"),
    ("cycles_high", Access.READ, "cycles since start while busy, bits 63..32"),
    ("array_cycles_low", Access.READ, "cycles in which the array took a step, bits 31..0"),
    ("array_cycles_high", Access.READ, "cycles in which the array took a step, bits 63..32"),
    ("read_beats", Access.READ, "beats read from external memory"),
    ("write_beats", Access.READ, "beats written to external memory"),
)

REGISTER_BYTES = 4 * len(REGISTERS)
REGISTER_ADDRESS_BITS = (REGISTER_BYTES - 1).bit_length()


def register(name: str) -> Register:
    """Return the register of that name."""
    for candidate in REGISTERS:
        if candidate.name == name:
            return candidate
    raise ValueError(
        f"Register must be one of {', '.join(each.name for each in REGISTERS)}, not {name!r}"
    )
