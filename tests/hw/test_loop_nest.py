# SPDX-License-Identifier: Apache-2.0
"""The loop nest against nested Python loops, running sums against multiplication."""

from __future__ import annotations

import random
from itertools import product

import pytest
from amaranth import Module
from amaranth.sim import Simulator

from tritone_hw.loop_nest import Loop, LoopNest, RunningSum


@pytest.mark.parametrize(
    "rounds",
    [(1, 1, 1, 1, 1, 1, 1), (2, 3, 1, 2, 1, 3, 2), (1, 2, 2, 1, 3, 1, 2), (4, 1, 1, 3, 2, 2, 1)],
    ids=str,
)
@pytest.mark.parametrize(
    "loops",
    [
        (Loop.CHANNEL,),
        (Loop.GROUP,),
        (Loop.GROUP, Loop.ROW, Loop.KERNEL_ROW, Loop.CHANNEL),
        (Loop.TILE, Loop.KERNEL_COLUMN),
        tuple(reversed(Loop)),
    ],
    ids=lambda loops: "-".join(loop.name for loop in loops),
)
def test_rounds_and_sums(rounds: tuple[int, ...], loops: tuple[Loop, ...]) -> None:
    """All rounds in order, with pauses, twice; the sum is linear in the loop counters."""
    rng = random.Random(0)
    m = Module()
    m.submodules.nest = nest = LoopNest()
    m.submodules.sum = total = RunningSum(10, loops)
    m.d.comb += [
        total.start.eq(nest.start),
        total.step.eq(nest.step),
        total.advance.eq(nest.advance),
    ]

    async def bench(ctx) -> None:
        for _ in range(2):
            initial = rng.randrange(1 << 10)
            increments = [rng.randrange(1 << 10) for _ in loops]
            ctx.set(nest.rounds, {loop.name: rounds[loop] - 1 for loop in Loop})
            ctx.set(total.initial, initial)
            ctx.set(total.increments, increments)
            ctx.set(nest.start, 1)
            await ctx.tick()
            ctx.set(nest.start, 0)
            for counters in product(*(range(rounds[loop]) for loop in reversed(Loop))):
                at = dict(zip(reversed(Loop), counters, strict=True))
                last = [at[loop] == rounds[loop] - 1 for loop in Loop]
                ending = [all(last[: loop + 1]) for loop in Loop]
                while rng.random() < 0.3:
                    await ctx.tick()
                ctx.set(nest.step, 1)
                assert ctx.get(nest.last) == sum(bit << n for n, bit in enumerate(last))
                assert ctx.get(nest.ending) == sum(bit << n for n, bit in enumerate(ending))
                goes_on = [n for n in Loop if not ending[n]][:1]
                assert ctx.get(nest.advance) == sum(1 << n for n in goes_on)
                expected = initial + sum(
                    at[loop] * increment for loop, increment in zip(loops, increments, strict=True)
                )
                assert ctx.get(total.value) == expected % (1 << 10)
                await ctx.tick()
                ctx.set(nest.step, 0)

    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert total.loops == loops


@pytest.mark.parametrize("loops", [(), (Loop.ROW, Loop.GROUP), (Loop.ROW, Loop.ROW)])
def test_loops_are_checked(loops: tuple[Loop, ...]) -> None:
    with pytest.raises(ValueError, match=r"^Loops must be given once each, the outermost first, "):
        RunningSum(8, loops)
