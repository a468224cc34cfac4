# SPDX-License-Identifier: Apache-2.0
"""A lane of the requantiser against its formula in plain integers."""

from __future__ import annotations

import itertools
import random

import pytest
from amaranth.sim import Simulator

from tritone_hw.requantizer_lane import RequantizerLane

Output = dict[str, int]
PORTS = {
    "even": 0,
    "odd": 0,
    "drain_shift": RequantizerLane.start_at - 1,
    "shortcut": RequantizerLane.shortcut_at,
    "start": RequantizerLane.start_at,
    "multiplier": RequantizerLane.value_at,
    "offset": RequantizerLane.offset_at,
}


def wrap(value: int, bits: int) -> int:
    """Return ``value`` modulo 2**bits, as a signed number."""
    return (value + 2 ** (bits - 1)) % 2**bits - 2 ** (bits - 1)


def run(
    shift: int,
    low: int,
    high: int,
    outputs: list[Output],
    factor: int = 0,
    shortcut_shift: int = 0,
) -> None:
    """Push an output a cycle through the lane and compare all values and results."""
    outputs = [{"shortcut": 0, **each} for each in outputs]
    dut = RequantizerLane(20, 19)
    values, results = [], []

    async def bench(ctx) -> None:
        ctx.set(dut.shift, shift)
        ctx.set(dut.low, low)
        ctx.set(dut.high, high)
        ctx.set(dut.shortcut_multiplier, factor)
        ctx.set(dut.shortcut_shift, shortcut_shift)
        for cycle in range(len(outputs) + dut.latency):
            for port, at in PORTS.items():
                if 0 <= cycle - at < len(outputs):
                    ctx.set(getattr(dut, port), outputs[cycle - at][port])
            if 0 <= cycle - dut.value_at < len(outputs):
                values.append(ctx.get(dut.value))
            if cycle >= dut.latency:
                results.append(ctx.get(dut.result))
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()

    sums = [
        each["start"] + (128 * each["even"] + 181 * each["odd"]) * 16 ** each["drain_shift"]
        for each in outputs
    ]
    assert values == [each % 2**36 for each in sums]
    scaled = [
        wrap(total, 36) * each["multiplier"]
        + each["offset"]
        + each["shortcut"] * factor * 2**shortcut_shift
        for total, each in zip(sums, outputs, strict=True)
    ]
    assert results == [min(max(each // 2**shift, low), high) for each in scaled]


def test_corners_of_the_product() -> None:
    """The product is exact where its halves meet and at the ends of all factors, for every S."""
    outputs = [
        {"even": 0, "odd": 0, "drain_shift": 0, "start": start, "multiplier": factor, "offset": d}
        for start, factor, d in itertools.product(
            (-(2**35), -(2**18), -(2**18) - 1, -1, 0, 2**18 - 1, 2**18, 2**35 - 1),
            (-(2**15), -1, 0, 1, 2**15 - 1),
            (-(2**47), -1, 0, 2**47 - 1),
        )
    ]
    for shift in range(41):
        run(shift, -(2**15), 2**15 - 1, outputs)


def test_corners_of_the_accumulators() -> None:
    """181/128 is exact at the ends of both accumulators; drain shifts wrap modulo 2**36."""
    outputs = [
        {"even": e, "odd": o, "drain_shift": shift, "start": start, "multiplier": 1, "offset": 0}
        for e, o, shift, start in itertools.product(
            (0, 1, 2**20 - 1), (0, 1, 2**19 - 1), range(4), (-(2**35), 0, 2**35 - 1)
        )
    ]
    run(20, -(2**15), 2**15 - 1, outputs)


@pytest.mark.parametrize(
    ("low", "high"), [(-7, 9), (0, 15), (-(2**15), 2**15 - 1), (3, 3), (-5, -2), (2, 255)]
)
def test_clamp(low: int, high: int) -> None:
    """Results stay from low to high, both included, also one step outside of either."""
    near = [end + step for end in (low, high) for step in (-1, 0, 1)]
    run(
        0,
        low,
        high,
        [
            {"even": 0, "odd": 0, "drain_shift": 0, "start": v, "multiplier": 1, "offset": 0}
            for v in (*near, -(2**35), -1, 0, 1, 2**35 - 1)
        ],
    )


@pytest.mark.parametrize("factor", [-(2**15), -1, 1, 2**15 - 1])
def test_corners_of_the_shortcut(factor: int) -> None:
    """The three terms add up exactly at the ends of all of them, for every t."""
    for shortcut_shift in range(32):
        outputs = [
            {
                "even": 0,
                "odd": 0,
                "drain_shift": 0,
                "start": start,
                "multiplier": multiplier,
                "offset": offset,
                "shortcut": shortcut,
            }
            for start, multiplier, offset, shortcut in itertools.product(
                (-(2**35), 1, 2**35 - 1),
                (-(2**15), 2**15 - 1),
                (-(2**47), 2**47 - 1),
                (-255, -1, 0, 1, 255),
            )
        ]
        run(40, -(2**15), 2**15 - 1, outputs, factor, shortcut_shift)


def test_random_outputs() -> None:
    """Neighbouring outputs do not disturb each other."""
    rng = random.Random(5)
    for shift in (0, 5, 24, 40):
        run(
            shift,
            -(2**15),
            2**15 - 1,
            [
                {
                    "even": rng.getrandbits(20),
                    "odd": rng.getrandbits(19),
                    "drain_shift": rng.randrange(4),
                    "start": rng.getrandbits(36) - 2**35,
                    "multiplier": rng.getrandbits(16) - 2**15,
                    "offset": rng.getrandbits(48) - 2**47,
                    "shortcut": rng.randint(-255, 255),
                }
                for _ in range(200)
            ],
            rng.getrandbits(16) - 2**15,
            rng.randrange(32),
        )
