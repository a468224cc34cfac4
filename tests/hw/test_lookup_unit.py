# SPDX-License-Identifier: Apache-2.0
"""The lookup unit against plain indexing."""

from __future__ import annotations

import random
from typing import Any

import pytest
from amaranth.sim import Simulator

from tritone_hw.lookup_unit import LookupUnit


def test_every_entry_and_code(simulate: Any) -> None:
    """Each lane gets its entry of the table, for all 16 codes in every lane and random tables.

    Tables are there CYCLES cycles behind their load; one that comes earlier replaces the other.
    """
    dut = LookupUnit(3)
    rng = random.Random(1)

    async def bench(ctx: Any) -> None:
        for early in (0, 5, 0, LookupUnit.CYCLES - 1, 0, LookupUnit.CYCLES, 0):
            table = [rng.randrange(16) for _ in range(16)]
            ctx.set(dut.load, 1)
            ctx.set(dut.table, table)
            await ctx.tick()
            ctx.set(dut.load, 0)
            ctx.set(dut.table, [rng.randrange(16) for _ in range(16)])
            cycles = 1
            while cycles < LookupUnit.CYCLES and cycles != early:
                assert not ctx.get(dut.ready)
                await ctx.tick()
                cycles += 1
            if early:
                continue
            assert ctx.get(dut.ready)
            for code in range(16):
                codes = [code, rng.randrange(16), 15 - code]
                ctx.set(dut.nibbles, codes)
                await ctx.delay(1e-9)
                got = ctx.get(dut.codes.as_value())
                assert [got >> 4 * lane & 15 for lane in range(3)] == [
                    table[each] for each in codes
                ]
                await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_testbench(bench)
    simulate(simulator)


def test_refuses_bad_lanes() -> None:
    """Lanes are a positive integer."""
    with pytest.raises(TypeError, match=r"^Lanes must be an integer, not '4'$"):
        LookupUnit("4")
    with pytest.raises(ValueError, match=r"^Lanes must be a positive number, not 0$"):
        LookupUnit(0)
