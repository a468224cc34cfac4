# SPDX-License-Identifier: Apache-2.0
"""Packed pixels against the words that they are."""

from __future__ import annotations

import random
from typing import Any

import pytest
from amaranth.sim import Simulator

from tritone.spec.machine import MachineConfig, preset
from tritone_hw.pixel_unpacker import PixelUnpacker

WIDE = MachineConfig(name="wide", rows=32, columns=8, pixels=2)


def expected_words(
    machine: MachineConfig, region: dict[str, int], pixel_bytes: int, data: bytes
) -> list[tuple[int, int, int, int]]:
    """Return (group, bank, address, word) of each pixel, as far as the bytes go."""
    size = 1 << pixel_bytes
    banks = 2 * machine.pixels
    words = []
    for y in range(region["rows"]):
        for x in range(region["width"]):
            at = (y * region["width"] + x) * size
            if at + size > len(data):
                return words
            word = int.from_bytes(data[at : at + size], "little")
            address = region["base"] + y * region["row_words"] + x // banks
            words.append((region["group"], x % banks, address, word))
    return words


@pytest.mark.parametrize(
    ("machine", "pixel_bytes"),
    [(preset("tiny"), log2) for log2 in range(4)] + [(WIDE, log2) for log2 in range(6)],
    ids=lambda value: getattr(value, "name", str(value)),
)
@pytest.mark.parametrize("missing", [0, 2, -3])
def test_every_pixel_finds_its_place(
    machine: MachineConfig, pixel_bytes: int, missing: int, ends: Any, simulate: Any
) -> None:
    """Several pixels a beat, several beats a pixel; too few beats, too many; one after another."""
    dut = PixelUnpacker(machine)
    rng = random.Random(f"{pixel_bytes} {missing}")
    simulator = Simulator(dut)
    got: list[Any] = []
    ends(1).collect(simulator, dut.words, got)

    async def bench(ctx: Any) -> None:
        for width, rows in ((5, 3), (8, 2), (1, 1), (7, 1)):
            region = {"group": width % 2, "base": 9 * rows, "width": width, "rows": rows}
            region["row_words"] = 5
            beats = -(-(width * rows << pixel_bytes) // 8) - missing
            data = rng.randbytes(8 * max(0, beats))
            ctx.set(dut.region, region)
            ctx.set(dut.load, 1)
            await ctx.tick()
            ctx.set(dut.load, 0)
            ctx.set(dut.region, dict.fromkeys(region, 0))
            ctx.set(dut.pixel_bytes, pixel_bytes)
            items = [int.from_bytes(data[at : at + 8], "little") for at in range(0, len(data), 8)]
            await ends(width).give(ctx, dut.beats, items)
            while ctx.get(dut.busy):
                await ctx.tick()
            words = [(each.group, each.bank, each.address, each.data) for each in got]
            assert words == expected_words(machine, region, pixel_bytes, data)
            got.clear()

    simulator.add_testbench(bench)
    simulate(simulator)


@pytest.mark.parametrize(("pixel_bytes", "cycles"), [(0, 64), (3, 64), (4, 128)])
def test_a_pixel_or_a_beat_a_cycle(pixel_bytes: int, cycles: int, ends: Any, simulate: Any) -> None:
    """64 pixels take as many cycles as there are pixels or beats, whichever are more."""
    dut = PixelUnpacker(WIDE)
    simulator = Simulator(dut)
    got: list[Any] = []
    ends(stall=0.0).collect(simulator, dut.words, got)
    taken = 0

    async def bench(ctx: Any) -> None:
        nonlocal taken
        region = {"group": 0, "base": 0, "width": 8, "rows": 8, "row_words": 2}
        ctx.set(dut.region, region)
        ctx.set(dut.pixel_bytes, pixel_bytes)
        ctx.set(dut.load, 1)
        await ctx.tick()
        ctx.set(dut.load, 0)
        ctx.set(dut.beats.valid, 1)
        while len(got) < 64:
            await ctx.tick()
            taken += 1

    simulator.add_testbench(bench)
    simulate(simulator)
    # The first beat has to arrive and the sink sees a word a cycle after it was offered.
    assert cycles <= taken <= cycles + 2
