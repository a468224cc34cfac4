# SPDX-License-Identifier: Apache-2.0
"""Regions as beats, from a feature memory that is not always free."""

from __future__ import annotations

import random
from collections import deque
from typing import Any

import pytest
from amaranth.sim import Simulator

from tritone.spec.machine import MachineConfig, preset
from tritone_hw.feature_memory import FeatureMemory
from tritone_hw.region_streamer import RegionStreamer

MACHINES = [
    preset("tiny"),
    MachineConfig(name="sixteen", rows=16, columns=8, pixels=2),
    MachineConfig(name="thirty-two", rows=32, columns=4, pixels=4, requantizer_slots=4),
]


def word_at(machine: MachineConfig, group: int, bank: int, address: int) -> int:
    """Return what the memory holds there."""
    return random.Random(f"{group} {bank} {address}").getrandbits(8 * machine.rows)


def attach_memory(
    simulator: Simulator, dut: RegionStreamer, latency: int, seed: int, stall: float
) -> None:
    """Answer requests after ``latency`` cycles; refuse them now and then."""

    async def run(ctx: Any) -> None:
        rng = random.Random(seed)
        ready = False
        answers: deque[int | None] = deque([None] * (latency - 1))
        sampled = ctx.tick().sample(dut.read.valid, dut.read.payload)
        async for _, _, valid, place in sampled:
            taken = valid and ready
            answers.append(
                word_at(dut.machine, place.group, place.bank, place.address) if taken else None
            )
            answer = answers.popleft()
            ctx.set(dut.data_valid, answer is not None)
            ctx.set(dut.data, answer or 0)
            ready = rng.random() >= stall
            ctx.set(dut.read.ready, ready)

    simulator.add_process(run)


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
@pytest.mark.parametrize(
    ("stall", "latency"), [(0.0, FeatureMemory.READ_LATENCY), (0.4, 1), (0.7, 3)]
)
def test_bytes_of_a_region(
    machine: MachineConfig, stall: float, latency: int, ends: Any, simulate: Any
) -> None:
    """R bytes a pixel, rows without gaps, the last beat marked; a region right behind another."""
    dut = RegionStreamer(machine)
    banks = 2 * machine.pixels
    simulator = Simulator(dut)
    attach_memory(simulator, dut, latency, 1, stall)
    got: list[Any] = []
    ends(2, stall).collect(simulator, dut.beats, got)

    async def bench(ctx: Any) -> None:
        for width, rows in ((1, 1), (9, 3), (4, 2), (1, 7)):
            region = {"group": rows % 2, "base": 5, "width": width, "rows": rows, "row_words": 6}
            ctx.set(dut.region, region)
            ctx.set(dut.load, 1)
            await ctx.tick()
            ctx.set(dut.load, 0)
            while not (got and got[-1].last):
                await ctx.tick()
            expected = b"".join(
                word_at(machine, rows % 2, x % banks, 5 + 6 * y + x // banks).to_bytes(
                    machine.rows, "little"
                )
                for y in range(rows)
                for x in range(width)
            )
            assert b"".join(beat.data.to_bytes(8, "little") for beat in got) == expected
            assert [beat.last for beat in got] == [0] * (len(got) - 1) + [1]
            got.clear()

    simulator.add_testbench(bench)
    simulate(simulator)


def test_a_beat_a_cycle(ends: Any, simulate: Any) -> None:
    """Reading ahead covers the latency of the feature memory, even at a word for each beat."""
    dut = RegionStreamer(preset("tiny"))
    simulator = Simulator(dut)
    attach_memory(simulator, dut, FeatureMemory.READ_LATENCY, 0, 0.0)
    got: list[Any] = []
    ends(stall=0.0).collect(simulator, dut.beats, got)
    taken = 0

    async def bench(ctx: Any) -> None:
        nonlocal taken
        region = {"group": 0, "base": 0, "width": 100, "rows": 1, "row_words": 50}
        ctx.set(dut.region, region)
        ctx.set(dut.load, 1)
        await ctx.tick()
        ctx.set(dut.load, 0)
        while len(got) < 100:
            await ctx.tick()
            taken += 1

    simulator.add_testbench(bench)
    simulate(simulator)
    # Request, memory, queue and the cycle in which the sink sees a beat.
    assert taken <= 100 + FeatureMemory.READ_LATENCY + 4
