# SPDX-License-Identifier: Apache-2.0
"""The driver of ``tritone.host`` as one file for boards with PYNQ, which have an older Python."""

from __future__ import annotations

import inspect

from tritone.host.driver import Buffer, Driver, Registers
from tritone.spec.isa import ISA_VERSION
from tritone.spec.machine import BEAT_BYTES
from tritone.spec.program import (
    CONTAINER_BYTES,
    CONTAINER_FORMAT,
    CONTAINER_VERSION,
    MAGIC,
    Container,
    read_container,
)
from tritone.spec.regmap import (
    REGISTER_BYTES,
    REGISTERS,
    Access,
    Control,
    ErrorCode,
    Register,
    Status,
    register,
)

__all__ = ["pynq_driver"]

_HEAD = '''\
# SPDX-License-Identifier: Apache-2.0
"""Driver of the Tritone accelerator in Python 3.8 or newer; written by `tritone ip`, do not edit.

On a board with PYNQ::

    import pynq
    from tritone_pynq import REGISTER_BYTES, Driver, Program

    overlay = pynq.Overlay("tritone.bit")
    driver = Driver(pynq.MMIO(overlay.ip_dict["tritone_0"]["phys_addr"], REGISTER_BYTES))
    program = Program.load("program.bin")
    results = driver.run(program, images, count, lambda size: pynq.allocate(size, "u1"))

``images`` are the bytes of ``count`` of them, packed by ``tritone.compiler.pack_images`` where the
program was compiled.
"""

from __future__ import annotations

import hashlib
import json
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, IntEnum, IntFlag
from typing import Any, NamedTuple, Protocol

'''

_PROGRAM = '''\
class Machine(NamedTuple):
    """What a program says of its machine."""

    name: str
    fingerprint: int


class Program(NamedTuple):
    """A compiled network."""

    machine: Machine
    instructions: int
    payload: bytes
    metadata: dict[str, Any]

    @classmethod
    def from_bytes(cls, data: bytes) -> Program:
        """Return the program in ``data``; raises as ``read_container`` does."""
        held = read_container(data)
        machine = Machine(held.metadata["machine"]["name"], held.fingerprint)
        return cls(machine, held.instructions, held.payload, held.metadata)

    @classmethod
    def load(cls, path: str) -> Program:
        """Return the program in the file ``path``; raises as ``read_container`` does."""
        with open(path, "rb") as file:
            return cls.from_bytes(file.read())
'''


def pynq_driver() -> str:
    """Return the file: it needs nothing but Python's standard library, and serves every machine.

    Registers, container and driver are the text of those of ``tritone.spec`` and ``tritone.host``.
    """
    constants = {
        "ISA_VERSION": ISA_VERSION,
        "BEAT_BYTES": BEAT_BYTES,
        "MAGIC": MAGIC,
        "CONTAINER_VERSION": CONTAINER_VERSION,
        "CONTAINER_FORMAT": CONTAINER_FORMAT,
        "CONTAINER_BYTES": CONTAINER_BYTES,
        "REGISTER_BYTES": REGISTER_BYTES,
    }
    registers = [
        f"    Register({each.name!r}, {each.address:#04x}, {each.access!s}, {each.doc!r}),\n"
        for each in REGISTERS
    ]
    parts = [
        "".join(f"{name} = {value!r}\n" for name, value in constants.items()),
        *(inspect.getsource(each) for each in (Access, Control, Status, ErrorCode, Register)),
        f"REGISTERS = (\n{''.join(registers)})\n",
        *(inspect.getsource(each) for each in (register, Container, read_container)),
        _PROGRAM,
        *(inspect.getsource(each) for each in (Registers, Buffer, Driver)),
    ]
    return _HEAD + "\n\n".join(parts)
