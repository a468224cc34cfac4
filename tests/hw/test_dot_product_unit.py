# SPDX-License-Identifier: Apache-2.0
"""The dot-product unit against exact integers."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from amaranth.sim import Simulator

from tritone_hw.dot_product_unit import CONTROL, DotProductUnit

EVEN_BITS, ODD_BITS = 20, 19
CONTROLS = [
    {"shift": shift, "not_even": not_even, "not_odd": 1 - odd, "sign": sign}
    for sign in range(2)
    for not_even, odd in ((1, 0), (0, 0), (1, 1))
    for shift in range(4 - odd)
]


def contribution(nibble: int, control: dict[str, int]) -> tuple[int, int]:
    """Return what a row adds to the even and odd sum, as docs/numerics.md says."""
    product = nibble * 2 ** control["shift"]
    if not control["not_even"]:
        return (127 - product if control["sign"] else product), 0
    if not control["not_odd"]:
        return 0, (63 - product if control["sign"] else product)
    return 0, 0


Step = tuple[bool, bool, list[int], list[dict[str, int]]]


def check(dut: DotProductUnit, steps: list[Step]) -> None:
    """Present a step each cycle; compare the accumulators ``latency`` later, in every cycle."""
    expected = [(0, 0)]
    for valid, clear, nibbles, controls in steps:
        even, odd = expected[-1]
        if valid:
            if clear:
                even = odd = 0
            for nibble, control in zip(nibbles, controls, strict=True):
                more = contribution(nibble, control)
                even, odd = even + more[0], odd + more[1]
        expected.append((even % 2**EVEN_BITS, odd % 2**ODD_BITS))
    got: list[tuple[int, int]] = []

    async def bench(ctx) -> None:
        for cycle in range(len(steps) + dut.latency):
            valid, clear, nibbles, controls = steps[min(cycle, len(steps) - 1)]
            ctx.set(dut.valid, valid and cycle < len(steps))
            ctx.set(dut.clear, clear)
            ctx.set(dut.activations, nibbles)
            ctx.set(dut.controls, controls)
            got.append((ctx.get(dut.even), ctx.get(dut.odd)))
            await ctx.tick()
        got.append((ctx.get(dut.even), ctx.get(dut.odd)))

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert got == [(0, 0)] * dut.latency + expected[1:] + expected[-1:]


def random_steps(rng: random.Random, rows: int, count: int) -> Iterator[Step]:
    """Yield steps with gaps and clears; the nibbles lean to the extremes."""
    for _ in range(count):
        yield (
            rng.random() < 0.7,
            rng.random() < 0.2,
            [rng.choice((0, 15, rng.randrange(16))) for _ in range(rows)],
            rng.choices(CONTROLS, k=rows),
        )


@pytest.mark.parametrize("lane", [0, 1])
def test_every_nibble_and_control(lane: int) -> None:
    """A single row adds exactly its term or its complement, and nothing to the other rail."""
    nothing = dict.fromkeys(CONTROL.members, 0) | {"not_even": 1, "not_odd": 1}
    steps: list[Step] = []
    for nibble in range(16):
        for control in CONTROLS:
            row, other = (nibble, control), (15 - nibble, nothing)
            pair = (row, other) if lane == 0 else (other, row)
            steps.append((True, True, [each[0] for each in pair], [each[1] for each in pair]))
    check(DotProductUnit(2, EVEN_BITS, ODD_BITS), steps)


@pytest.mark.parametrize(("rows", "count"), [(2, 400), (8, 300), (16, 150)])
def test_random_steps(rows: int, count: int) -> None:
    """Accumulators hold the sums since the last clear; cycles without a step change nothing."""
    rng = random.Random(rows)
    check(DotProductUnit(rows, EVEN_BITS, ODD_BITS), list(random_steps(rng, rows, count)))


@pytest.mark.parametrize("rail", ["even", "odd"])
def test_largest_sums_wrap_alone(rail: str) -> None:
    """The largest terms of all rows fill their rail, wrap there, and never reach the other one."""
    control = {"shift": 0, "not_odd": rail == "even", "not_even": rail == "odd", "sign": 1}
    # 8 rows of 127 (63) reach 2**20 (2**19) within 1041 steps.
    steps: list[Step] = [(True, False, [0] * 8, [control] * 8)] * 1045
    check(DotProductUnit(8, EVEN_BITS, ODD_BITS), steps)


def test_refuses_bad_shapes() -> None:
    """Rows are a power of two; accumulators hold at least one step."""
    with pytest.raises(TypeError, match=r"^Rows must be an integer, not 8\.0$"):
        DotProductUnit(8.0, EVEN_BITS, ODD_BITS)
    with pytest.raises(ValueError, match=r"^Rows must be a power of two of at least 2, not 12$"):
        DotProductUnit(12, EVEN_BITS, ODD_BITS)
    with pytest.raises(
        ValueError, match=r"^Even accumulator must have at least 10 bits for 8 rows, not 9$"
    ):
        DotProductUnit(8, 9, 9)
    with pytest.raises(
        ValueError, match=r"^Odd accumulator must have at least 9 bits for 8 rows, not 8$"
    ):
        DotProductUnit(8, 10, 8)
