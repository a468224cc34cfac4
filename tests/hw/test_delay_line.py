# SPDX-License-Identifier: Apache-2.0
"""The delay line against a list."""

from __future__ import annotations

import random

import pytest
from amaranth.sim import Simulator

from tritone_hw.delay_line import DelayLine


@pytest.mark.parametrize("cycles", [1, 2, 5])
def test_output_is_an_earlier_input(cycles: int) -> None:
    dut = DelayLine(9, cycles)
    rng = random.Random(cycles)
    values = [rng.getrandbits(9) for _ in range(50)]
    got = []

    async def bench(ctx) -> None:
        for value in values:
            ctx.set(dut.input, value)
            got.append(ctx.get(dut.output))
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert got[cycles:] == values[: len(values) - cycles]
    assert dut.cycles == cycles


def test_no_cycles_is_a_wire() -> None:
    dut = DelayLine(9, 0)

    async def bench(ctx) -> None:
        for value in (1, 511, 0):
            ctx.set(dut.input, value)
            assert ctx.get(dut.output) == value

    simulator = Simulator(dut)
    simulator.add_testbench(bench)
    simulator.run()


def test_arguments_are_checked() -> None:
    with pytest.raises(TypeError, match=r"^Cycles must be an integer, not 1\.5$"):
        DelayLine(1, 1.5)
    with pytest.raises(ValueError, match=r"^Cycles must be 0 or more, not -1$"):
        DelayLine(1, -1)
