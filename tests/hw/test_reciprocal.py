# SPDX-License-Identifier: Apache-2.0
"""Every reciprocal there is, by exact rational arithmetic."""

from __future__ import annotations

from fractions import Fraction
from math import floor

from amaranth.sim import Simulator

from tritone_hw.reciprocal import Reciprocal


def test_every_beta() -> None:
    """256 / (beta / 1024), rounded half up, for 512..2048; in the cycle that is promised."""
    dut = Reciprocal()
    betas = range(512, 2049)

    async def bench(ctx) -> None:
        for beta in betas:
            # (x + half) // beta as a fraction: the half that beta >> 1 drops never decides.
            expected = floor((Fraction(2**18) + Fraction(beta, 2)) / beta)
            ctx.set(dut.beta, beta)
            ctx.set(dut.start, 1)
            await ctx.tick()
            ctx.set(dut.start, 0)
            ctx.set(dut.beta, 0)
            cycles = 1
            while not ctx.get(dut.done):
                assert cycles < Reciprocal.CYCLES
                await ctx.tick()
                cycles += 1
            assert cycles == Reciprocal.CYCLES
            assert ctx.get(dut.gain) == expected, beta
            # It stays, and there is no second strobe.
            await ctx.tick()
            assert not ctx.get(dut.done)
            assert ctx.get(dut.gain) == expected

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


def test_a_beta_that_is_none_ends_too() -> None:
    """0 and 4095, which no layer makes, take as many cycles."""
    dut = Reciprocal()

    async def bench(ctx) -> None:
        for beta in (0, 4095):
            ctx.set(dut.beta, beta)
            ctx.set(dut.start, 1)
            await ctx.tick()
            ctx.set(dut.start, 0)
            for _ in range(Reciprocal.CYCLES - 1):
                assert not ctx.get(dut.done)
                await ctx.tick()
            assert ctx.get(dut.done)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
