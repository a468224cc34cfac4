# SPDX-License-Identifier: Apache-2.0
"""The walk over a region against the layout of docs/machine.md."""

from __future__ import annotations

import random
from typing import Any

import pytest
from amaranth.sim import Simulator

from tritone.spec.machine import preset
from tritone_hw.region_walker import RegionWalker

REGIONS = [
    {"group": 0, "base": 0, "width": 1, "rows": 1, "row_words": 1},
    {"group": 1, "base": 7, "width": 8, "rows": 3, "row_words": 4},
    {"group": 1, "base": 300, "width": 13, "rows": 5, "row_words": 9},
    {"group": 0, "base": 5, "width": 1, "rows": 9, "row_words": 1},
]


@pytest.mark.parametrize("name", ["tiny", "tiny-p2", "tiny-p4"])
def test_places(name: str, simulate: Any) -> None:
    """Pixel x of row y lies in bank x mod 2P, word base + y * row_words + x div 2P."""
    machine = preset(name)
    banks = 2 * machine.pixels
    dut = RegionWalker(machine)
    rng = random.Random(0)

    async def bench(ctx: Any) -> None:
        assert not ctx.get(dut.inside)
        for region in REGIONS:
            ctx.set(dut.region, region)
            ctx.set(dut.load, 1)
            await ctx.tick()
            ctx.set(dut.load, 0)
            ctx.set(dut.region, dict.fromkeys(region, 0))
            pixels = [(x, y) for y in range(region["rows"]) for x in range(region["width"])]
            for x, y in pixels:
                while rng.random() < 0.3:
                    await ctx.tick()
                place = ctx.get(dut.place)
                assert ctx.get(dut.inside)
                assert place.group == region["group"]
                assert place.bank == x % banks
                assert place.address == region["base"] + y * region["row_words"] + x // banks
                assert ctx.get(dut.last) == ((x, y) == pixels[-1])
                ctx.set(dut.advance, 1)
                await ctx.tick()
                ctx.set(dut.advance, 0)
            assert not ctx.get(dut.inside)

    simulator = Simulator(dut)
    simulator.add_testbench(bench)
    simulate(simulator)
