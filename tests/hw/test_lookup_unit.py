# SPDX-License-Identifier: Apache-2.0
"""The lookup unit against plain indexing."""

from __future__ import annotations

import random

import pytest
from amaranth.sim import Simulator

from tritone_hw.lookup_unit import LookupUnit


def test_every_entry_and_code() -> None:
    """Each lane gets its entry of the table, for all 16 codes in every lane and random tables."""
    dut = LookupUnit(3)
    rng = random.Random(1)

    async def bench(ctx) -> None:
        for _ in range(8):
            table = [rng.randrange(32) for _ in range(16)]
            # The upper bits of an entry are not part of the word.
            ctx.set(dut.table, [entry | rng.randrange(8) << 5 for entry in table])
            for code in range(16):
                codes = [code, rng.randrange(16), 15 - code]
                ctx.set(dut.codes, codes)
                await ctx.delay(1e-9)
                got = ctx.get(dut.controls.as_value())
                assert [got >> 5 * lane & 31 for lane in range(3)] == [
                    table[each] for each in codes
                ]

    simulator = Simulator(dut)
    simulator.add_testbench(bench)
    simulator.run()


def test_refuses_bad_lanes() -> None:
    """Lanes are a positive integer."""
    with pytest.raises(TypeError, match=r"^Lanes must be an integer, not '4'$"):
        LookupUnit("4")
    with pytest.raises(ValueError, match=r"^Lanes must be a positive number, not 0$"):
        LookupUnit(0)
