# SPDX-License-Identifier: Apache-2.0
"""The pool against Python's max and sum."""

from __future__ import annotations

import random

import pytest
from amaranth.sim import Simulator

from tritone.spec.isa import PoolMode
from tritone.spec.machine import MachineConfig, preset
from tritone_hw.pool import Pool

NARROW = MachineConfig(name="narrow", rows=16, columns=4, pixels=2, requantizer_slots=4)

Codes = list[list[int]]


def run(machine: MachineConfig, mode: PoolMode, windows: list[tuple[int, list[Codes]]]) -> None:
    """Check windows, (channel group, steps of [pixel][row] codes), with noise in gaps."""
    rng = random.Random(len(windows))
    dut = Pool(machine)
    got, expected = [], []

    async def bench(ctx) -> None:
        cycle = 0

        async def tick() -> None:
            nonlocal cycle
            if ctx.get(dut.drained):
                word = ctx.get(dut.sums.as_value())
                count = machine.pixels * machine.columns
                mask = (1 << machine.even_bits) - 1
                got.append((cycle, [word >> n * machine.even_bits & mask for n in range(count)]))
            await ctx.tick()
            cycle += 1

        ctx.set(dut.mode, mode)
        for group, steps in windows:
            for index, codes in enumerate(steps):
                while rng.random() < 0.3:
                    ctx.set(dut.valid, 0)
                    ctx.set(dut.clear, rng.randrange(2))
                    ctx.set(dut.drain, rng.randrange(2))
                    await tick()
                ctx.set(dut.valid, 1)
                ctx.set(dut.clear, index == 0)
                ctx.set(dut.drain, index == len(steps) - 1)
                ctx.set(dut.column_group, group)
                ctx.set(dut.activations, codes)
                if index == len(steps) - 1:
                    first = group * machine.columns
                    function = max if mode is PoolMode.MAX else sum
                    expected.append(
                        (
                            cycle + Pool.latency,
                            [
                                function(step[pixel][first + column] for step in steps)
                                for pixel in range(machine.pixels)
                                for column in range(machine.columns)
                            ],
                        )
                    )
                await tick()
        ctx.set(dut.valid, 0)
        for _ in range(Pool.latency + 2):
            await tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert got == expected


@pytest.mark.parametrize("machine", [preset("tiny"), NARROW], ids=lambda machine: machine.name)
@pytest.mark.parametrize("mode", list(PoolMode), ids=lambda mode: mode.name)
def test_windows(machine: MachineConfig, mode: PoolMode) -> None:
    """A window gives the maximum or sum of its C channels, ``latency`` after its last step."""
    rng = random.Random(int(mode))
    windows = [
        (
            rng.randrange(machine.word_columns),
            [
                [
                    [rng.choice((0, 255, rng.randrange(256))) for _ in range(machine.rows)]
                    for _ in range(machine.pixels)
                ]
                for _ in range(length)
            ],
        )
        for length in (1, 1, 4, 2, 9, 1, 3, 5, 4, 4)
    ]
    run(machine, mode, windows)


def test_largest_window() -> None:
    """The sum of the largest window, 15 x 15 codes of 255, fits."""
    machine = preset("tiny")
    run(machine, PoolMode.SUM, [(0, [[[255] * machine.rows]] * 225)])


def test_refuses_other_machines() -> None:
    """The shape is a MachineConfig."""
    with pytest.raises(TypeError, match=r"^Machine must be a MachineConfig, not 'tiny'$"):
        Pool("tiny")
