# SPDX-License-Identifier: Apache-2.0
"""tritone_hw.board.host_link: what frames do to memory and registers."""

from __future__ import annotations

import random
from typing import Any

from amaranth.hdl import Module
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out, connect, flipped
from amaranth.sim import Simulator

from tritone.host.frames import Frame, FrameReader
from tritone.spec.host_link import Answer, Operation
from tritone.spec.machine import ISA_VERSION, preset
from tritone.spec.regmap import register
from tritone_hw.board.board_memory import BoardMemory
from tritone_hw.board.host_link import HostLink
from tritone_hw.registers import Registers

BEATS = 256
CLOCK = 12_345_678


class Board(Component):
    """The link with a memory and a machine's registers."""

    def __init__(self) -> None:
        super().__init__(
            {
                "received": In(8),
                "received_valid": In(1),
                "sent": Out(stream.Signature(8)),
                "active": Out(1),
            }
        )
        self.link = HostLink(BEATS, CLOCK)
        self.memory = BoardMemory(BEATS)
        self.registers = Registers(preset("tiny"))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.link, m.submodules.memory = self.link, self.memory
        m.submodules.registers = self.registers
        connect(m, self.link.memory, self.memory.host)
        connect(m, self.link.registers, self.registers.bus)
        connect(m, self.link.sent, flipped(self.sent))
        m.d.comb += [
            self.link.received.eq(self.received),
            self.link.received_valid.eq(self.received_valid),
            self.active.eq(self.link.active),
        ]
        return m


def talk(simulate: Any, lines: list[bytes], stall: float = 0.0) -> list[Frame | None]:
    """Return the answers to lines, each sent when the one before it has been answered."""
    dut = Board()
    simulator = Simulator(dut)
    answers: list[Frame | None] = []
    draw = random.Random(11)

    async def bench(ctx: Any) -> None:
        reader = FrameReader()
        for line in lines:
            for byte in line:
                ctx.set(dut.received, byte)
                ctx.set(dut.received_valid, 1)
                await ctx.tick()
                ctx.set(dut.received_valid, 0)
                await ctx.tick()
            assert ctx.get(dut.active)
            while ctx.get(dut.active):
                ready = draw.random() >= stall
                ctx.set(dut.sent.ready, ready)
                *_, valid, byte = await ctx.tick().sample(dut.sent.valid, dut.sent.payload)
                if valid and ready:
                    answers.extend(reader.feed(bytes([byte])))

    simulator.add_testbench(bench)
    simulate(simulator, 100_000)
    return answers


def ask(code: int, address: int = 0, beats: int = 0, data: bytes = b"", tag: int = 0) -> Frame:
    """Return a request."""
    return Frame(code=code, tag=tag, beats=beats, address=address, data=data)


def exchange(simulate: Any, requests: list[Frame], stall: float = 0.0) -> list[tuple[int, bytes]]:
    """Return code and data of the answers, whose other fields must be those of the requests."""
    answers = talk(simulate, [each.to_line() for each in requests], stall)
    found = []
    for request, answer in zip(requests, answers, strict=True):
        assert answer is not None
        assert (answer.tag, answer.address) == (request.tag, request.address)
        assert answer.beats == len(answer.data) // 8
        found.append((answer.code, answer.data))
    return found


def number(value: int) -> bytes:
    """Return a beat."""
    return value.to_bytes(8, "little")


OK = int(Answer.OK)


def test_memory(simulate: Any) -> None:
    """What is written is read, single beats and as many as a frame has, at both ends."""
    data = random.Random(2).randbytes(8 * 128)
    requests = [
        ask(Operation.WRITE_MEMORY, 8 * 128, 128, data, tag=200),
        ask(Operation.WRITE_MEMORY, 0, 1, b"\xc0\xdb" * 4, tag=0xC0),
        ask(Operation.READ_MEMORY, 8 * 128, 128, tag=1),
        ask(Operation.READ_MEMORY, 0, 2, tag=2),
        ask(Operation.READ_MEMORY, 8 * 255, 1, tag=3),
    ]
    assert exchange(simulate, requests, stall=0.4) == [
        (OK, b""),
        (OK, b""),
        (OK, data),
        (OK, b"\xc0\xdb" * 4 + bytes(8)),
        (OK, data[-8:]),
    ]


def test_registers(simulate: Any) -> None:
    """Read and written; what the bus refuses is refused."""
    images = register("image_count").address
    requests = [
        ask(Operation.READ_REGISTER, register("version").address, tag=1),
        ask(Operation.READ_REGISTER, register("fingerprint_low").address),
        ask(Operation.WRITE_REGISTER, images, 1, number(0x89ABCDEF)),
        ask(Operation.READ_REGISTER, images),
        ask(Operation.WRITE_REGISTER, register("version").address, 1, number(1)),
        ask(Operation.READ_REGISTER, 0x7C),  # within the bus, behind the last register
        ask(Operation.READ_REGISTER, 0x80),  # behind the bus
        ask(Operation.WRITE_REGISTER, 0x80, 1, number(1)),
        ask(Operation.READ_REGISTER, images),
    ]
    refused = (int(Answer.REFUSED), b"")
    assert exchange(simulate, requests) == [
        (OK, number(ISA_VERSION)),
        (OK, number(preset("tiny").fingerprint & 0xFFFFFFFF)),
        (OK, b""),
        (OK, number(0x89ABCDEF)),
        refused,
        refused,
        refused,
        refused,
        (OK, number(0x89ABCDEF)),
    ]


def test_what_is_refused(simulate: Any) -> None:
    """Operations, addresses and lengths that there are not; memory stays as it was."""
    one = number(1)
    requests = [
        ask(0),
        ask(OK),
        ask(Operation.READ_MEMORY, 0, 0),
        ask(Operation.READ_MEMORY, 0, 129),
        ask(Operation.READ_MEMORY, 4, 1),
        ask(Operation.READ_MEMORY, 8 * 255, 2),
        ask(Operation.READ_MEMORY, 8 * 256, 1),
        ask(Operation.READ_MEMORY, 0xFFFFFFF8, 1),
        ask(Operation.WRITE_MEMORY, 8 * 256, 1, one),
        ask(Operation.WRITE_MEMORY, 0, 2, one),
        ask(Operation.WRITE_MEMORY, 0, 1),
        ask(Operation.WRITE_REGISTER, 0, 1),
        ask(Operation.WRITE_REGISTER, 0, 2, one + one),
        ask(Operation.READ_MEMORY, 0, 2),
    ]
    unknown, outside, damaged = (
        (int(answer), b"") for answer in (Answer.UNKNOWN, Answer.OUTSIDE, Answer.DAMAGED)
    )
    expected = [unknown] * 2 + [outside] * 7 + [damaged] * 4 + [(OK, bytes(16))]
    assert exchange(simulate, requests) == expected


def test_damage_and_identity(simulate: Any) -> None:
    """A damaged write changes nothing and is counted; the next frame is taken."""
    write = bytearray(ask(Operation.WRITE_MEMORY, 0, 1, number(0x55)).to_line())
    write[12] ^= 1
    lines = [bytes(write), b"noise\xc0", ask(Operation.READ_MEMORY, 0, 1).to_line()]
    answers = talk(simulate, [*lines, ask(Operation.IDENTIFY, tag=9).to_line()])
    assert [each.code for each in answers if each] == [Answer.DAMAGED, Answer.DAMAGED, OK, OK]
    assert answers[2] is not None
    assert answers[2].data == bytes(8)
    identity = answers[3]
    assert identity is not None
    assert identity.data == number(1 | 2 << 16 | BEATS << 32) + number(CLOCK)
