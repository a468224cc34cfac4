# SPDX-License-Identifier: Apache-2.0
"""tritone_hw.board.frame_encoder: the bytes that software makes of a frame."""

from __future__ import annotations

import random
from typing import Any

import pytest
from amaranth.sim import Simulator

from tritone.host.frames import Frame
from tritone_hw.board.frame_encoder import FrameEncoder


@pytest.mark.parametrize("stall", [0.0, 0.6])
def test_frames(stall: float, simulate: Any, ends: Any) -> None:
    """Whatever they hold, the line and the beats waiting or not."""
    draw = random.Random(5)
    frames = [
        Frame(
            code=draw.choice((0x80, 0xC0)),
            tag=draw.randrange(256),
            beats=beats,
            address=draw.choice((0xDBC0, draw.randrange(1 << 32))),
            data=bytes(draw.choice((0xC0, 0xDB, draw.randrange(256))) for _ in range(8 * beats)),
        )
        for beats in (0, 1, 5, 0, 40)
    ]
    dut = FrameEncoder()
    simulator = Simulator(dut)
    got: list[int] = []
    ends(1, stall).collect(simulator, dut.data, got)

    async def headers(ctx: Any) -> None:
        fields = ("code", "tag", "beats", "address")
        items = [{name: getattr(frame, name) for name in fields} for frame in frames]
        await ends(2, stall).give(ctx, dut.header, items)
        while not ctx.get(dut.header.ready):
            await ctx.tick()

    async def beats(ctx: Any) -> None:
        data = b"".join(frame.data for frame in frames)
        words = [int.from_bytes(data[at : at + 8], "little") for at in range(0, len(data), 8)]
        await ends(3, stall).give(ctx, dut.beats, words)

    simulator.add_testbench(headers)
    simulator.add_testbench(beats)
    simulate(simulator)
    assert bytes(got) == b"".join(frame.to_line() for frame in frames)
