# SPDX-License-Identifier: Apache-2.0
"""The stage of a stream that keeps an item, against a list."""

from __future__ import annotations

import random
from typing import Any

import pytest
from amaranth.sim import Simulator

from tritone_hw.skid_buffer import SkidBuffer


def run(pattern: list[tuple[bool, bool]]) -> tuple[list[int], list[int], list[bool]]:
    """Return what went in and came out, and in which cycles something came out.

    Parameters
    ----------
    pattern : for each cycle whether an item is offered, and whether one is taken.
    """
    dut = SkidBuffer(8)
    given: list[int] = []
    got: list[int] = []
    cycles: list[bool] = []

    async def bench(ctx: Any) -> None:
        item = 0
        for offered, wanted in pattern:
            offering = offered or len(given) < item  # an offer stands until it is taken
            item += offering and len(given) == item
            ctx.set(dut.source.valid, offering)
            ctx.set(dut.source.payload, item if offering else 0xA5)
            before = ctx.get(dut.source.ready)
            ctx.set(dut.sink.ready, not wanted)
            assert ctx.get(dut.source.ready) == before, "ready looks at the taker"
            ctx.set(dut.sink.ready, wanted)
            assert ctx.get(dut.full) == (len(given) - len(got))
            if ctx.get(dut.source.valid) and ctx.get(dut.source.ready):
                given.append(item)
            came = bool(ctx.get(dut.sink.valid))
            if came and wanted:
                got.append(ctx.get(dut.sink.payload))
            cycles.append(came)
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return given, got, cycles


@pytest.mark.parametrize("seed", range(4))
def test_nothing_is_lost(seed: int) -> None:
    """Items come out in order, one of them kept at most, whatever both ends do."""
    rng = random.Random(seed)
    given, got, _ = run([(rng.random() < 0.6, rng.random() < 0.6) for _ in range(200)])
    assert given == list(range(1, len(given) + 1))
    assert got == given[: len(got)]
    assert len(given) - len(got) <= 1
    assert len(got) > 50


def test_an_item_a_cycle_in_its_own_cycle() -> None:
    """A taker that is always there gets each item as it comes."""
    given, got, cycles = run([(True, True)] * 20)
    assert got == given == list(range(1, 21))
    assert all(cycles)


def test_a_taker_gets_on_as_if_nothing_were_between() -> None:
    """Behind a pause an item comes in every cycle."""
    wanted = [False] * 3 + [True] * 10
    given, got, _ = run([(True, each) for each in wanted])
    assert got == list(range(1, 11))
    assert len(given) == 10
