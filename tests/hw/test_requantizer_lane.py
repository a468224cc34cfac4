# SPDX-License-Identifier: Apache-2.0
"""The lanes of the requantiser against their formulas in plain integers."""

from __future__ import annotations

import itertools
import random

import pytest
from amaranth.sim import Simulator

from tritone_hw.requantizer_lane import HalfOctaveLane, MultiplierLane, RequantizerLane

Output = dict[str, int]


def ports(lane: type[RequantizerLane]) -> dict[str, int]:
    """Return in which cycle each port is presented."""
    own = {name: at for name, at in lane.parameters.items() if name != "bias"}
    return own | {
        "even": 0,
        "odd": 0,
        "drain_shift": lane.start_at - 1,
        "shortcut": lane.shortcut_at,
        "start": lane.start_at,
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
    fixed = {"shift": shift, "low": low, "high": high, "shortcut_multiplier": factor}
    values, results = simulate(MultiplierLane, fixed | {"shortcut_shift": shortcut_shift}, outputs)
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


def run_half(low: int, high: int, outputs: list[Output], up: int = 0, down: int = 0) -> None:
    """Push an output a cycle through the lane of half octaves and compare."""
    fixed = {"low": low, "high": high, "shortcut_shift": up, "final_shift": down}
    values, results = simulate(HalfOctaveLane, fixed, outputs)
    sums = [
        each["start"]
        + (
            181 * each["even"] + 256 * each["odd"]
            if each["turned"]
            else 128 * each["even"] + 181 * each["odd"]
        )
        * 16 ** each["drain_shift"]
        for each in outputs
    ]
    assert values == [each % 2**36 for each in sums]
    # By the definition: all of it in units of 2**-(S + d), so that there is one shift.
    totals = [
        wrap(total, 36) + each["offset"] + each["shortcut"] * 2 ** (each["shift"] + up)
        for total, each in zip(sums, outputs, strict=True)
    ]
    assert results == [
        min(max(total // 2 ** (each["shift"] + down), low), high)
        for total, each in zip(totals, outputs, strict=True)
    ]


def simulate(
    lane: type[RequantizerLane], fixed: Output, outputs: list[Output]
) -> tuple[list[int], list[int]]:
    """Return values and results of outputs that are pushed through, one a cycle."""
    dut = lane(20, 19)
    values: list[int] = []
    results: list[int] = []

    async def bench(ctx) -> None:
        for name, value in fixed.items():
            ctx.set(getattr(dut, name), value)
        for cycle in range(len(outputs) + dut.latency):
            for port, at in ports(lane).items():
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
    return values, results


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


def half_output(**changed: int) -> Output:
    """Return an output of nothing, but for some inputs."""
    return dict.fromkeys(ports(HalfOctaveLane), 0) | changed


def test_corners_of_half_octaves() -> None:
    """Turned or not, sums are exact at the ends of all inputs, for every S and t, side by side."""
    corners = [
        half_output(even=e, odd=o, turned=turned, start=start, offset=d, drain_shift=drain)
        for e, o, turned, start, d, drain in itertools.product(
            (0, 1, 2**20 - 1),
            (0, 1, 2**19 - 1),
            (0, 1),
            (-(2**35), 0, 2**35 - 1),
            (-(2**47), 0, 2**47 - 1),
            (0, 3),
        )
    ]
    rng = random.Random(7)
    for each in corners:
        each["shift"] = rng.randrange(41)
    run_half(-(2**15), 2**15 - 1, corners)
    shifts = [
        half_output(shift=s, shortcut=q, start=v, offset=d)
        for s, q, v, d in itertools.product(
            range(0, 41, 5),
            (-255, -1, 1, 255),
            (-(2**35), 2**35 - 1),
            (-(2**47), -(2**20), 2**20, 2**47 - 1),
        )
    ]
    for octave in range(8):
        run_half(-(2**15), 2**15 - 1, shifts, up=octave)
        run_half(-(2**15), 2**15 - 1, shifts, down=octave)


def test_random_half_octaves() -> None:
    """Neighbouring outputs of different channels do not disturb each other."""
    rng = random.Random(8)
    for low, high, up, down in ((0, 255, 2, 0), (-(2**15), 2**15 - 1, 0, 5), (-7, 9, 7, 7)):
        run_half(
            low,
            high,
            [
                half_output(
                    even=rng.getrandbits(20),
                    odd=rng.getrandbits(19),
                    drain_shift=rng.randrange(4),
                    start=rng.getrandbits(36) - 2**35,
                    turned=rng.randrange(2),
                    shift=rng.randrange(41),
                    offset=rng.getrandbits(rng.randrange(1, 48)),
                    shortcut=rng.randint(-255, 255),
                )
                for _ in range(300)
            ],
            up,
            down,
        )
