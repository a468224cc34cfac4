# SPDX-License-Identifier: Apache-2.0
"""The read manager against a memory that stalls and fails."""

from __future__ import annotations

import random
from typing import Any

import pytest
from amaranth.sim import Simulator

from tritone_hw.axi_reader import AxiReader

# A burst and a beat, single beats, ends on and off burst and page boundaries, a long run.
RUNS = [(0, 1), (8, 16), (0x78, 1), (0x40, 9), (0xFF8, 2), (0xFC0, 40), (0x1F80, 16), (24, 700)]


def content(address: int, beats: int) -> bytes:
    """Return bytes that tell where they lie."""
    return random.Random(address).randbytes(8 * beats)


@pytest.mark.parametrize(("stall", "seed"), [(0.0, 0), (0.3, 1), (0.8, 2)])
def test_beats_come_once_and_in_order(
    stall: float, seed: int, external_memory: Any, ends: Any, simulate: Any
) -> None:
    """Every run gives its beats; bursts keep the rules, which the memory checks."""
    dut = AxiReader()
    memory = external_memory(seed=seed, stall=stall)
    got: list[int] = []
    expected: list[int] = []
    simulator = Simulator(dut)
    memory.attach(simulator, read=dut.bus)
    ends(seed, stall).collect(simulator, dut.data, got)

    async def bench(ctx: Any) -> None:
        for address, beats in RUNS:
            data = content(address, beats)
            memory.write(address, data)
            # The lowest three bits of an address mean nothing.
            ctx.set(dut.request.payload, {"address": address | seed, "beats": beats})
            ctx.set(dut.request.valid, 1)
            await ctx.tick().until(dut.request.ready)
            ctx.set(dut.request.valid, 0)
            assert ctx.get(dut.busy)
            while ctx.get(dut.busy):
                assert not ctx.get(dut.request.ready)
                *_, error = await ctx.tick().sample(dut.error)
                assert not error
            expected.extend(
                int.from_bytes(data[at : at + 8], "little") for at in range(0, len(data), 8)
            )
            assert got == expected

    simulator.add_testbench(bench)
    simulate(simulator)
    assert sum(beats for _, beats in memory.read_bursts) == sum(beats for _, beats in RUNS)


def test_a_long_run_takes_a_cycle_a_beat(external_memory: Any, ends: Any, simulate: Any) -> None:
    """Requests run ahead of the data, so that a memory without stalls delivers in every cycle."""
    dut = AxiReader()
    memory = external_memory(stall=0.0)
    got: list[int] = []
    simulator = Simulator(dut)
    memory.attach(simulator, read=dut.bus)
    ends(stall=0.0).collect(simulator, dut.data, got)
    cycles = 0

    async def bench(ctx: Any) -> None:
        nonlocal cycles
        ctx.set(dut.request.payload, {"address": 0, "beats": 640})
        ctx.set(dut.request.valid, 1)
        await ctx.tick()
        ctx.set(dut.request.valid, 0)
        while ctx.get(dut.busy):
            cycles += 1
            await ctx.tick()

    simulator.add_testbench(bench)
    simulate(simulator)
    assert len(got) == 640
    # The request, its way to the memory and back, and the end.
    assert cycles <= 640 + 6


@pytest.mark.parametrize("failures", [1, 30])
@pytest.mark.parametrize("failing", [0, 5, 15, 16, 37, 59])
def test_an_error_ends_the_run(
    failing: int, failures: int, external_memory: Any, ends: Any, simulate: Any
) -> None:
    """Beats before the failing one are delivered, none behind it; then the reader works again."""
    dut = AxiReader()
    start, beats = 0x2000, 60
    bad = range(start + 8 * failing, start + 8 * (failing + failures), 8)
    memory = external_memory(seed=failing, fault=lambda address: address in bad)
    got: list[int] = []
    simulator = Simulator(dut)
    memory.attach(simulator, read=dut.bus)
    ends(failing, shy=True).collect(simulator, dut.data, got)
    words = [random.Random(n).getrandbits(64) for n in range(beats)]
    memory.write(start, b"".join(word.to_bytes(8, "little") for word in words))

    async def request(ctx: Any, address: int, count: int) -> int:
        """Return how often an error was reported."""
        errors = 0
        ctx.set(dut.request.payload, {"address": address, "beats": count})
        ctx.set(dut.request.valid, 1)
        await ctx.tick().until(dut.request.ready)
        ctx.set(dut.request.valid, 0)
        while ctx.get(dut.busy):
            *_, error = await ctx.tick().sample(dut.error)
            errors += error
        return errors

    async def bench(ctx: Any) -> None:
        assert await request(ctx, start, beats) == 1
        assert got == words[:failing]
        got.clear()
        await ctx.tick().repeat(20)
        requested = sum(count for _, count in memory.read_bursts)
        assert failing < requested <= beats
        memory.fault = lambda address: False
        assert await request(ctx, start, beats) == 0
        assert got == words
        assert sum(count for _, count in memory.read_bursts) == requested + beats

    simulator.add_testbench(bench)
    simulate(simulator)


def test_an_early_error_stops_the_requests(external_memory: Any, ends: Any, simulate: Any) -> None:
    """After the first beat is an error, a long run is not read to its end."""
    dut = AxiReader()
    memory = external_memory(stall=0.0, fault=lambda address: True)
    simulator = Simulator(dut)
    memory.attach(simulator, read=dut.bus)
    ends(stall=0.0).collect(simulator, dut.data, [])

    async def bench(ctx: Any) -> None:
        ctx.set(dut.request.payload, {"address": 0, "beats": 640})
        ctx.set(dut.request.valid, 1)
        await ctx.tick()
        ctx.set(dut.request.valid, 0)
        await ctx.tick().until(~dut.busy)

    simulator.add_testbench(bench)
    simulate(simulator)
    assert len(memory.read_bursts) < 8
