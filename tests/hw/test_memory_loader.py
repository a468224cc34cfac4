# SPDX-License-Identifier: Apache-2.0
"""Beats of words against the layout of docs/machine.md."""

from __future__ import annotations

import random
from typing import Any

import pytest
from amaranth.sim import Simulator

from tritone.spec.isa import MemoryId
from tritone.spec.machine import MachineConfig, preset
from tritone_hw.memory_loader import MemoryLoader, word_beats

MACHINES = [
    preset("tiny"),
    MachineConfig(name="pairs", rows=16, columns=8, pixels=1, requantizer_slots=4),
]


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
def test_word_beats(machine: MachineConfig) -> None:
    """A word of W bits takes ceil(W / 64) beats."""
    channels = machine.columns // machine.requantizer_slots
    assert word_beats(machine) == {
        MemoryId.WEIGHT: machine.rows * machine.columns // 16,
        MemoryId.PARAMETER: 2 * channels,
    }


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
@pytest.mark.parametrize("memory", [MemoryId.WEIGHT, MemoryId.PARAMETER])
@pytest.mark.parametrize("spare", [-1, 0, 3])
def test_every_beat_has_its_place(
    machine: MachineConfig, memory: MemoryId, spare: int, ends: Any, simulate: Any
) -> None:
    """Lowest beats first, consecutive words; beats behind the last word are dropped.

    Nibbles of weights are their entries of the table.
    """
    dut = MemoryLoader(machine)
    simulator = Simulator(dut)
    got: list[Any] = []
    ends(0).collect(simulator, dut.writes, got)
    size = word_beats(machine)[memory]

    async def bench(ctx: Any) -> None:
        for address, words in ((3, 5), (0, 1)):
            rng = random.Random(words)
            items = [rng.getrandbits(64) for _ in range(size * words + spare)]
            table = rng.choices(range(16), k=16)
            stored = [
                sum(table[item >> 4 * nibble & 15] << 4 * nibble for nibble in range(16))
                for item in items
            ]
            if memory != MemoryId.WEIGHT:
                stored = items
            ctx.set(dut.address, address)
            ctx.set(dut.words, words)
            ctx.set(dut.load, 1)
            ctx.set(dut.table, table)
            await ctx.tick()
            ctx.set(dut.load, 0)
            ctx.set(dut.table, [0] * 16)
            ctx.set(dut.memory, memory)
            await ends(1).give(ctx, dut.beats, items)
            await ctx.tick()
            expected = [
                (memory, address + n // size, n % size, n % size == size - 1, item)
                for n, item in enumerate(stored[: size * words])
            ]
            assert [
                (each.memory, each.address, each.beat, each.last, each.data) for each in got
            ] == expected
            got.clear()

    simulator.add_testbench(bench)
    simulate(simulator)
