# SPDX-License-Identifier: Apache-2.0
"""A board in software: what the host's side of a serial line is tested with.

It knows the frames by their description alone; a machine behind it is the golden one.
"""

from __future__ import annotations

import binascii
import struct
from collections.abc import Callable

from tritone.golden.machine import GoldenMachine
from tritone.spec.machine import ISA_VERSION
from tritone.spec.program import Program
from tritone.spec.regmap import Control, Status, register

__all__ = ["SoftBoard", "to_line"]

ESCAPES = ((b"\xdb", b"\xdb\xdd"), (b"\xc0", b"\xdb\xdc"))


def to_line(body: bytes) -> bytes:
    """Return a frame's bytes: what RFC 1055 and CRC-32 make of its body."""
    body += binascii.crc32(body).to_bytes(4, "little")
    for plain, escaped in ESCAPES:
        body = body.replace(plain, escaped)
    return b"\xc0" + body + b"\xc0"


class SoftBoard:
    """A board at the end of a line.

    Parameters
    ----------
    spoil : what becomes of the bytes of the n-th answer.
    version : of the link.
    memory : bytes of memory.
    program : what its golden machine runs when it is started; None: two registers and no machine.
    """

    CYCLES = 1000  # of an image, it says

    def __init__(
        self,
        spoil: Callable[[int, bytes], bytes] = lambda n, line: line,
        version: int = 1,
        memory: int = 4096,
        program: Program | None = None,
    ) -> None:
        self.memory = bytearray(memory)
        self.spoil = spoil
        self.version = version
        self.program = program
        self.registers = {0: 0xDEADBEEF, 4: 0}
        if program is not None:
            self.registers = dict.fromkeys(range(0, 0x50, 4), 0)
            self.put("version", ISA_VERSION)
            self.put("fingerprint_low", program.machine.fingerprint & 0xFFFFFFFF)
            self.put("fingerprint_high", program.machine.fingerprint >> 32)
        self.requests: list[tuple[int, int, int, int]] = []
        self.waiting = bytearray()

    @property
    def in_waiting(self) -> int:
        """Bytes of answers."""
        return len(self.waiting)

    def read(self, size: int) -> bytes:
        """Take some; none when there are none, as behind a timeout."""
        taken = bytes(self.waiting[:size])
        del self.waiting[:size]
        return taken

    def write(self, data: bytes) -> int:
        """Do what a request says."""
        assert data[0] == data[-1] == 0xC0
        body = data[1:-1]
        for plain, escaped in reversed(ESCAPES):
            body = body.replace(escaped, plain)
        assert binascii.crc32(body[:-4]).to_bytes(4, "little") == body[-4:]
        code, tag, beats, address = header = struct.unpack("<BBHI", body[:8])
        self.requests.append(header)
        answer, told, content = self.answer(code, beats, address, body[8:-4])
        line = to_line(struct.pack("<BBHI", answer, tag, told, address) + content)
        self.waiting += self.spoil(len(self.requests) - 1, line)
        return len(data)

    def answer(self, code: int, beats: int, address: int, content: bytes) -> tuple[int, int, bytes]:
        """Return code, beats and data of the answer."""
        match code:
            case 1:
                size = len(self.memory) // 8
                return 0x80, 2, struct.pack("<HHIQ", self.version, 0, size, 25_000_000)
            case 2:
                assert 1 <= beats <= 128
                return 0x80, beats, bytes(self.memory[address : address + 8 * beats])
            case 3:
                assert len(content) == 8 * beats <= 1024
                self.memory[address : address + len(content)] = content
                return 0x80, 0, b""
            case 4 if address in self.registers:
                return 0x80, 1, struct.pack("<Q", self.registers[address])
            case 5 if address in self.registers:
                self.registers[address] = struct.unpack("<Q", content)[0]
                if self.program is not None and address == register("control").address:
                    self.execute()
                return 0x80, 0, b""
        return 0x84, 0, b""

    def put(self, name: str, value: int) -> None:
        """Set a register."""
        self.registers[register(name).address] = value

    def get(self, name: str) -> int:
        """Return a register."""
        return self.registers[register(name).address]

    def execute(self) -> None:
        """Run what memory holds, as the registers say."""
        assert self.program is not None
        assert self.get("control") == Control.START
        assert self.get("program_instructions") == self.program.instructions
        start = self.get("program_address")
        payload = self.program.payload
        assert bytes(self.memory[start : start + len(payload)]) == payload
        golden, count = GoldenMachine(self.program), self.get("image_count")
        size = self.program.metadata["image"]["bytes"]
        # The machine reads an image, and writes the last result, while it computes another.
        assert start + len(payload) <= self.get("image_address")
        assert self.get("image_address") + count * size <= self.get("result_address")
        for index in range(count):
            place = self.get("image_address") + index * size
            result = golden.execute(bytes(self.memory[place : place + size])).result
            place = self.get("result_address") + index * len(result)
            assert place + len(result) <= len(self.memory)
            self.memory[place : place + len(result)] = result
        self.put("cycles_low", self.CYCLES * count)
        self.put("status", Status.DONE)
