# SPDX-License-Identifier: Apache-2.0
"""The write manager against a memory that stalls and fails."""

from __future__ import annotations

import random
from typing import Any

import pytest
from amaranth.sim import Simulator

from tritone_hw.axi_writer import AxiWriter

# Single beats, ends on and off burst and page boundaries, a run that fills the queue often.
RUNS = [(0, 1), (8, 16), (0x178, 1), (0x240, 9), (0xFF8, 2), (0x1FC0, 40), (0x3018, 200)]


def beats_of(words: list[int]) -> list[dict[str, int]]:
    """Return the stream of a run."""
    return [{"data": word, "last": index == len(words) - 1} for index, word in enumerate(words)]


async def write_run(ctx: Any, dut: AxiWriter, source: Any, address: int, words: list[int]) -> int:
    """Request a run and give its beats; return how often an error was reported."""
    errors = 0
    ctx.set(dut.request.payload, address)
    ctx.set(dut.request.valid, 1)
    await ctx.tick().until(dut.request.ready)
    ctx.set(dut.request.valid, 0)
    assert ctx.get(dut.busy)
    source.extend(beats_of(words))
    while ctx.get(dut.busy):
        *_, error = await ctx.tick().sample(dut.error)
        errors += error
    return errors


def attach_source(simulator: Simulator, stream: Any, seed: int, stall: float) -> list[Any]:
    """Return a list whose items go into the stream."""
    waiting: list[Any] = []

    async def run(ctx: Any) -> None:
        rng = random.Random(seed)
        offered = False
        async for _, _, ready in ctx.tick().sample(stream.ready):
            if offered and ready:
                offered = False
                waiting.pop(0)
            offered = offered or (bool(waiting) and rng.random() >= stall)
            ctx.set(stream.valid, offered)
            if offered:
                ctx.set(stream.payload, waiting[0])

    simulator.add_process(run)
    return waiting


@pytest.mark.parametrize("late_address", [False, True], ids=["", "late"])
@pytest.mark.parametrize(("stall", "seed"), [(0.0, 0), (0.3, 1), (0.8, 2)])
def test_beats_arrive(
    stall: float, seed: int, late_address: bool, external_memory: Any, simulate: Any
) -> None:
    """Memory holds every run and nothing else, also where addresses wait for data."""
    dut = AxiWriter()
    memory = external_memory(seed=seed, stall=stall, late_address=late_address)
    simulator = Simulator(dut)
    memory.attach(simulator, write=dut.bus)
    source = attach_source(simulator, dut.data, seed, stall / 2)
    expected: dict[int, int] = {}

    async def bench(ctx: Any) -> None:
        for address, beats in RUNS:
            words = [random.Random(address + n).getrandbits(64) for n in range(beats)]
            assert await write_run(ctx, dut, source, address | seed, words) == 0
            assert ctx.get(dut.next_address) == address + 8 * beats
            data = b"".join(word.to_bytes(8, "little") for word in words)
            expected.update(enumerate(data, start=address))
            assert memory.data == expected

    simulator.add_testbench(bench)
    simulate(simulator)
    assert sum(beats for _, beats in memory.write_bursts) == sum(beats for _, beats in RUNS)


@pytest.mark.parametrize("failing", [0, 7, 16, 41, 99])
def test_an_error_ends_the_run(failing: int, external_memory: Any, simulate: Any) -> None:
    """All beats are taken, an error is told once, and the writer works again."""
    dut = AxiWriter()
    start, beats = 0x4000, 100
    memory = external_memory(seed=failing, fault=lambda address: address == start + 8 * failing)
    simulator = Simulator(dut)
    memory.attach(simulator, write=dut.bus)
    source = attach_source(simulator, dut.data, failing, 0.1)
    words = [random.Random(n).getrandbits(64) for n in range(beats)]

    async def bench(ctx: Any) -> None:
        assert await write_run(ctx, dut, source, start, words) == 1
        assert not source
        memory.fault = lambda address: False
        assert await write_run(ctx, dut, source, start, words) == 0
        data = b"".join(word.to_bytes(8, "little") for word in words)
        assert memory.read(start, 8 * beats) == data

    simulator.add_testbench(bench)
    simulate(simulator)


def test_an_early_error_stops_the_bursts(external_memory: Any, simulate: Any) -> None:
    """After the first answer is an error, a long run is not written to its end."""
    dut = AxiWriter()
    memory = external_memory(stall=0.0, fault=lambda address: True)
    simulator = Simulator(dut)
    memory.attach(simulator, write=dut.bus)
    source = attach_source(simulator, dut.data, 0, 0.0)

    async def bench(ctx: Any) -> None:
        assert await write_run(ctx, dut, source, 0, list(range(1, 641))) == 1

    simulator.add_testbench(bench)
    simulate(simulator)
    assert len(memory.write_bursts) < 5
