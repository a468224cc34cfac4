# SPDX-License-Identifier: Apache-2.0
"""tritone_hw.board.frame_decoder: frames among other bytes."""

from __future__ import annotations

import binascii
import random
from typing import Any

from amaranth.sim import Simulator

from tritone.host.frames import Frame
from tritone_hw.board.frame_decoder import FrameDecoder

RANDOM = random.Random(3)


def frame(beats: int) -> Frame:
    """Return a frame with random data, some of them bytes that are escaped."""
    data = bytes(RANDOM.choice((0xC0, 0xDB, RANDOM.randrange(256))) for _ in range(8 * beats))
    return Frame(code=3, tag=beats, beats=beats, address=RANDOM.randrange(1 << 32), data=data)


def decode(simulate: Any, pieces: list[bytes], take: bool = True) -> list[Frame | None]:
    """Return what comes of pieces of a line; None for a damaged frame.

    A frame is looked at and taken between two pieces.
    """
    dut = FrameDecoder()
    simulator = Simulator(dut)
    found: list[Frame | None] = []

    async def look(ctx: Any) -> None:
        if not ctx.get(dut.valid):
            return
        header, number = ctx.get(dut.header), ctx.get(dut.beats)
        data = b""
        for index in range(number):
            ctx.set(dut.index, index)
            await ctx.tick()
            data += ctx.get(dut.beat).to_bytes(8, "little")
        fields = {name: header[name] for name in ("code", "tag", "beats", "address")}
        found.append(None if ctx.get(dut.damaged) else Frame(**fields, data=data))
        if take:
            ctx.set(dut.taken, 1)
            await ctx.tick()
            ctx.set(dut.taken, 0)

    async def bench(ctx: Any) -> None:
        for piece in pieces:
            for byte in piece:
                ctx.set(dut.data, byte)
                ctx.set(dut.data_valid, 1)
                await ctx.tick()
                ctx.set(dut.data_valid, 0)
                await ctx.tick()
            await look(ctx)

    simulator.add_testbench(bench)
    simulate(simulator)
    return found


def test_frames(simulate: Any) -> None:
    """From none to as many beats as there may be."""
    frames = [frame(beats) for beats in (0, 1, 2, 128, 0)]
    assert decode(simulate, [each.to_line() for each in frames]) == frames


def test_damaged_frames(simulate: Any) -> None:
    """A wrong bit anywhere, a byte more or less, a wrong escape, more beats than there may be."""
    good = Frame(code=2, tag=0, beats=1, address=8, data=bytes(range(1, 9)))
    line = good.to_line()
    wrong = []
    for place in range(1, len(line) - 1):
        bent = bytearray(line)
        bent[place] ^= 1 << place % 8
        assert not {0xC0, 0xDB} & set(bent[1:-1])
        wrong.append(bytes(bent))
    wrong += [line[:5] + line[6:], line[:5] + b"\x00" + line[5:], line[:-1] + b"\xdb\xc0"]
    # The tag, which is 0, behind an escape; a byte alone.
    wrong += [line[:2] + b"\xdb" + line[2:], b"\xc0\x01\xc0"]
    # Right but for their length: the CRC of nothing, of twelve bytes, and of 129 beats.
    for body in (b"", bytes(12), bytes(8 * 130)):
        wrong.append(b"\xc0" + body + binascii.crc32(body).to_bytes(4, "little") + b"\xc0")
    assert all(b"\xc0" not in each[1:-1] for each in wrong)
    found = decode(simulate, [*wrong, line])
    assert found == [None] * len(wrong) + [good]


def test_the_next_frame_is_found(simulate: Any) -> None:
    """Behind garbage, which is damaged, and behind END bytes, which are nothing."""
    good = frame(3)
    assert decode(simulate, [b"\xc0\xc0\xc0"]) == []
    noise = bytes(range(1, 60))
    assert decode(simulate, [noise + b"\xc0", good.to_line()]) == [None, good]


def test_what_comes_while_a_frame_stands(simulate: Any) -> None:
    """It is lost up to the next END; the frame that stands is untouched, one behind it counts."""
    first, second, third = frame(1), frame(2), frame(1)
    piece = first.to_line() + second.to_line()
    assert decode(simulate, [piece, third.to_line()]) == [first, third]
    cut = second.to_line()
    pieces = [first.to_line() + cut[:7], cut[7:] + third.to_line()]
    assert decode(simulate, pieces) == [first, third]
    # Frames of a byte, which end before anything is lost.
    assert decode(simulate, [first.to_line() + b"\x01\xc0" * 8, third.to_line()]) == [first, third]
