# SPDX-License-Identifier: Apache-2.0
"""The program container: what a host copies into external memory, and whose machine it is for.

File: header of 64 bytes, payload, metadata (JSON in UTF-8). The payload goes to ``program_address``
as it is: the instructions (64 bytes each) and behind them the data that LOAD instructions name by
their offset in the payload. The metadata names things for people and benches (tensors, layers); the
machine never sees it.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from tritone.spec.isa import INSTRUCTION_BITS
from tritone.spec.machine import BEAT_BYTES, MachineConfig
from tritone.spec.storage import write_atomically

__all__ = [
    "CONTAINER_BYTES",
    "CONTAINER_FORMAT",
    "CONTAINER_OFFSETS",
    "CONTAINER_VERSION",
    "MAGIC",
    "Container",
    "Program",
    "read_container",
]

MAGIC = b"TRIT"
CONTAINER_VERSION = 1
# Header of the file; the digest is the SHA-256 of the whole file with zeros in its own place.
_FIELDS = {
    "magic": "4s",
    "version": "I",
    "fingerprint": "Q",
    "instructions": "I",
    "metadata_bytes": "I",
    "payload_bytes": "Q",
    "digest": "32s",
}
CONTAINER_FORMAT = "<" + "".join(_FIELDS.values())
CONTAINER_BYTES = struct.calcsize(CONTAINER_FORMAT)
# Byte offset of each field, least significant byte first.
CONTAINER_OFFSETS = {
    name: struct.calcsize("<" + "".join(list(_FIELDS.values())[:index]))
    for index, name in enumerate(_FIELDS)
}
_INSTRUCTION_BYTES = INSTRUCTION_BITS // 8


# The next two stand in the driver that `tritone ip` writes, too: for Python 3.8, and without other
# names of this package than the constants above.
class Container(NamedTuple):
    """What a program file holds: ``fingerprint`` of its machine, number of instructions."""

    fingerprint: int
    instructions: int
    payload: bytes
    metadata: dict[str, Any]


def read_container(data: bytes) -> Container:
    """Return what is in a program file.

    Raises
    ------
    ValueError : no program, another version, truncated, or changed since it was written.
    """
    if len(data) < CONTAINER_BYTES or data[: len(MAGIC)] != MAGIC:
        raise ValueError(
            f"Program must begin with a header of {CONTAINER_BYTES} bytes and {MAGIC!r}"
        )
    *fields, digest = struct.unpack_from(CONTAINER_FORMAT, data)
    _, version, fingerprint, instructions, metadata_bytes, payload_bytes = fields
    if version != CONTAINER_VERSION:
        raise ValueError(f"Program must have container version {CONTAINER_VERSION}, not {version}")
    expected = CONTAINER_BYTES + payload_bytes + metadata_bytes
    if len(data) != expected:
        raise ValueError(
            f"Program must be {expected} bytes long as its header says, not {len(data)}"
        )
    blank = struct.pack(CONTAINER_FORMAT, *fields, bytes(len(digest)))
    if hashlib.sha256(blank + data[CONTAINER_BYTES:]).digest() != digest:
        raise ValueError("Program must have the SHA-256 in its header; it was changed or damaged")
    payload = data[CONTAINER_BYTES : CONTAINER_BYTES + payload_bytes]
    metadata = json.loads(data[CONTAINER_BYTES + payload_bytes :])
    return Container(fingerprint, instructions, payload, metadata)


@dataclass(frozen=True, kw_only=True)
class Program:
    """A compiled network.

    Parameters
    ----------
    machine : what it was compiled for.
    instructions : number of instructions at the front of ``payload``.
    payload : bytes for external memory; a multiple of 8. Behind instructions and constants the
        machine writes tensors that it has no room for.
    metadata : JSON values: "network", "image" {shape, bytes}, "result" {shape, bytes} and
        "tensors", a list of {name, layer, instructions, parts, shape [C, H, W], order, wide, bytes,
        macs}, one for each layer in the order of execution; "instructions" are the layer's, more
        than one where it is computed in slices or stripes, and "parts" the [channel word, row] of
        the output with which each begins; "order" is null or names for each place the network's
        channel that is stored there.
    """

    machine: MachineConfig
    instructions: int
    payload: bytes
    metadata: Mapping[str, Any]

    def __post_init__(self) -> None:
        if self.instructions < 1 or self.instructions * _INSTRUCTION_BYTES > len(self.payload):
            raise ValueError(
                f"Program must hold its instructions, not {self.instructions} "
                f"in {len(self.payload)} bytes"
            )
        if len(self.payload) % BEAT_BYTES:
            raise ValueError(
                f"Program payload must be a multiple of {BEAT_BYTES} bytes, not {len(self.payload)}"
            )

    def instruction_words(self) -> list[int]:
        """Return the instructions as integers of 512 bits."""
        return [
            int.from_bytes(self.payload[start : start + _INSTRUCTION_BYTES], "little")
            for start in range(0, self.instructions * _INSTRUCTION_BYTES, _INSTRUCTION_BYTES)
        ]

    def to_bytes(self) -> bytes:
        """Return the file."""
        metadata = json.dumps(
            {**self.metadata, "machine": asdict(self.machine)}, sort_keys=True
        ).encode()
        fields = (
            MAGIC,
            CONTAINER_VERSION,
            self.machine.fingerprint,
            self.instructions,
            len(metadata),
            len(self.payload),
        )
        blank = struct.pack(CONTAINER_FORMAT, *fields, bytes(32))
        digest = hashlib.sha256(blank + self.payload + metadata).digest()
        return struct.pack(CONTAINER_FORMAT, *fields, digest) + self.payload + metadata

    def save(self, path: Path) -> None:
        """Write the file whole or not at all."""
        write_atomically(path, self.to_bytes())

    @classmethod
    def from_bytes(cls, data: bytes) -> Program:
        """Return the program in ``data``.

        Raises
        ------
        ValueError : no program, another version, truncated, or changed since it was written.
        """
        fingerprint, instructions, payload, metadata = read_container(data)
        machine = MachineConfig.from_values(metadata.pop("machine"))
        if machine.fingerprint != fingerprint:
            raise ValueError(
                "Program must have the fingerprint of its machine and instruction set, "
                f"{machine.fingerprint:016x}, not {fingerprint:016x}"
            )
        return cls(machine=machine, instructions=instructions, payload=payload, metadata=metadata)

    @classmethod
    def load(cls, path: Path) -> Program:
        """Return the program in the file ``path``; raises as ``from_bytes`` does."""
        return cls.from_bytes(path.read_bytes())

    def require_machine(self, machine: MachineConfig) -> None:
        """Raise ValueError unless the program was compiled for ``machine``."""
        if machine.fingerprint != self.machine.fingerprint:
            raise ValueError(
                f"Program must be compiled for {machine.name} ({machine.fingerprint:016x}), "
                f"not {self.machine.name} ({self.machine.fingerprint:016x})"
            )
