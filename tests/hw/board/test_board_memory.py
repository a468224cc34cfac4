# SPDX-License-Identifier: Apache-2.0
"""tritone_hw.board.board_memory: our own managers and a host share it."""

from __future__ import annotations

import random
from typing import Any

import pytest
from amaranth.hdl import Module
from amaranth.lib.wiring import Component, Out, connect
from amaranth.sim import Simulator

from tritone_hw.axi_reader import AxiReader
from tritone_hw.axi_writer import AxiWriter
from tritone_hw.board.board_memory import BoardMemory, memory_port

BEATS = 512


class Shared(Component):
    """A memory with a reader and a writer at its bus."""

    def __init__(self) -> None:
        super().__init__({"host": Out(memory_port(BEATS))})
        self.memory = BoardMemory(BEATS)
        self.reader, self.writer = AxiReader(), AxiWriter()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.memory, m.submodules.reader = self.memory, self.reader
        m.submodules.writer = self.writer
        connect(m, self.reader.bus, self.memory.bus.read)
        connect(m, self.writer.bus, self.memory.bus.write)
        return m


async def host_write(ctx: Any, port: Any, beat: int, value: int) -> None:
    """Write a beat as the host does."""
    ctx.set(port.address, beat)
    ctx.set(port.write_data, value)
    ctx.set(port.write, 1)
    await ctx.tick()
    ctx.set(port.write, 0)


async def host_read(ctx: Any, port: Any, beat: int) -> int:
    """Read a beat as the host does."""
    ctx.set(port.address, beat)
    ctx.set(port.read, 1)
    await ctx.tick()
    ctx.set(port.read, 0)
    return int(ctx.get(port.read_data))


async def read_run(ctx: Any, reader: Any, address: int, beats: int) -> bool:
    """Let the manager read; return whether it met an error."""
    ctx.set(reader.request.payload, {"address": address, "beats": beats})
    ctx.set(reader.request.valid, 1)
    await ctx.tick().until(reader.request.ready)
    ctx.set(reader.request.valid, 0)
    failed = False
    while ctx.get(reader.busy):
        *_, error = await ctx.tick().sample(reader.error)
        failed |= bool(error)
    return failed


async def write_run(ctx: Any, writer: Any, address: int, values: list[int]) -> bool:
    """Let the manager write; return whether it met an error."""
    ctx.set(writer.request.payload, address)
    ctx.set(writer.request.valid, 1)
    await ctx.tick().until(writer.request.ready)
    ctx.set(writer.request.valid, 0)
    failed = False
    waiting = list(values)
    while ctx.get(writer.busy) or waiting:
        if waiting:
            ctx.set(writer.data.payload, {"data": waiting[0], "last": len(waiting) == 1})
        ctx.set(writer.data.valid, bool(waiting))
        *_, ready, error = await ctx.tick().sample(writer.data.ready, writer.error)
        failed |= bool(error)
        if ready and waiting:
            waiting.pop(0)
    return failed


@pytest.mark.parametrize("busy_host", [0.0, 0.5])
def test_what_is_written_is_read(busy_host: float, simulate: Any, ends: Any) -> None:
    """By the managers, while the host reads and writes in many of the cycles, elsewhere."""
    dut = Shared()
    simulator = Simulator(dut)
    draw = random.Random(7)
    values = [draw.randrange(1 << 64) for _ in range(200)]
    got: list[int] = []
    ended = False
    ends(1, 0.3).collect(simulator, dut.reader.data, got)
    port = dut.memory.host

    async def managers(ctx: Any) -> None:
        nonlocal ended
        assert not await write_run(ctx, dut.writer, 8 * 40, values)
        assert not await read_run(ctx, dut.reader, 8 * 40, len(values))
        assert got == values
        ended = True

    async def host(ctx: Any) -> None:
        held = dict.fromkeys(range(32), 0)
        while not ended:
            beat = draw.randrange(32)
            if draw.random() >= busy_host:
                await ctx.tick()
            elif draw.random() < 0.5:
                held[beat] = draw.randrange(1 << 64)
                await host_write(ctx, port, beat, held[beat])
            else:
                assert await host_read(ctx, port, beat) == held[beat]

    simulator.add_testbench(managers)
    simulator.add_testbench(host)
    simulate(simulator)
    assert got == values


def test_a_beat_a_cycle(simulate: Any, ends: Any) -> None:
    """Both ways, with a few cycles for each burst of sixteen."""
    dut = Shared()
    simulator = Simulator(dut)
    got: list[int] = []
    ends(stall=0.0).collect(simulator, dut.reader.data, got)
    cycles = 0

    async def count(ctx: Any) -> None:
        nonlocal cycles
        async for _ in ctx.tick():
            cycles += 1

    async def bench(ctx: Any) -> None:
        nonlocal cycles
        assert not await write_run(ctx, dut.writer, 0, list(range(256)))
        assert cycles <= 256 + 16 * 4 + 20
        cycles = 0
        assert not await read_run(ctx, dut.reader, 0, 256)
        assert cycles <= 256 + 16 + 10

    simulator.add_process(count)
    simulator.add_testbench(bench)
    simulate(simulator)
    assert got == list(range(256))


def test_behind_its_end(simulate: Any, ends: Any) -> None:
    """Errors, and nothing of memory changes; what lies within is not harmed."""
    dut = Shared()
    simulator = Simulator(dut)
    got: list[int] = []
    ends(stall=0.0).collect(simulator, dut.reader.data, got)

    async def bench(ctx: Any) -> None:
        assert not await write_run(ctx, dut.writer, 0, [1, 2, 3])
        assert await write_run(ctx, dut.writer, 8 * BEATS, [7, 7, 7])
        assert await write_run(ctx, dut.writer, 1 << 31, [7])
        assert not await read_run(ctx, dut.reader, 0, 3)
        assert await read_run(ctx, dut.reader, 8 * BEATS, 1)
        assert await read_run(ctx, dut.reader, 1 << 31, 1)
        assert not await read_run(ctx, dut.reader, 0, 3)

    simulator.add_testbench(bench)
    simulate(simulator)
    assert got == [1, 2, 3, 1, 2, 3]


@pytest.mark.parametrize("beats", [1, 3, 100, 64.0])
def test_sizes(beats: object) -> None:
    """A power of two."""
    message = rf"^Board memory must have a power of two of beats, not {beats}$"
    with pytest.raises(ValueError, match=message):
        BoardMemory(beats)
