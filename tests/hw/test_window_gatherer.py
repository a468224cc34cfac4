# SPDX-License-Identifier: Apache-2.0
"""The words of 3x3 windows against their definition, pixel by pixel."""

from __future__ import annotations

import random
from typing import Any

import pytest
from amaranth.sim import Simulator

from tritone.spec.machine import MachineConfig, preset
from tritone_hw.window_gatherer import WindowGatherer

# A window of 4 channels takes 5, 3 and 2 words.
MACHINES = [
    preset("tiny"),
    MachineConfig(name="half", rows=16, columns=8, pixels=2),
    MachineConfig(name="wide", rows=32, columns=8, pixels=4),
]

Image = list[list[int]]


def outputs(size: int, pad: int, behind: int, stride: int) -> int:
    """Return the outputs of a window of 3 along an axis."""
    return (size + pad + behind - 3) // stride + 1


def expected_words(
    machine: MachineConfig, gather: dict[str, int], shape: tuple[int, int], image: Image
) -> list[tuple[int, int, int, int]]:
    """Return (group, bank, address, word) in the order of output pixels and channel words."""
    channels, banks = gather["channels"], 2 * machine.pixels
    words = []
    for oy in range(shape[0]):
        for ox in range(shape[1]):
            data = b""
            for ky in range(3):
                for kx in range(3):
                    y = oy * gather["stride"] + ky - gather["pad_top"]
                    x = ox * gather["stride"] + kx - gather["pad_left"]
                    inside = 0 <= y < gather["rows"] and 0 <= x < gather["width"]
                    pixel = image[y][x].to_bytes(4, "little") if inside else b""
                    data += pixel[:channels] or bytes([gather["pad_code"]] * channels)
            for word, start in enumerate(range(0, len(data), machine.rows)):
                address = gather["address"] + oy * gather["row_words"] + ox // banks
                address += word * gather["plane_words"]
                value = int.from_bytes(data[start : start + machine.rows], "little")
                words.append((gather["group"], ox % banks, address, value))
    return words


def draw(rng: random.Random) -> tuple[dict[str, int], tuple[int, int], Image]:
    """Return a request, the height and width of its output, and an image."""
    stride, width, rows = rng.choice((1, 2)), rng.randrange(3, 9), rng.randrange(3, 7)
    left, right, top, bottom = (rng.randrange(3) for _ in range(4))
    shape = outputs(rows, top, bottom, stride), outputs(width, left, right, stride)
    gather = {
        "group": rng.randrange(2),
        "address": rng.randrange(50),
        "width": width,
        "rows": rows,
        "row_words": rng.randrange(1, 9),
        "channels": rng.randrange(1, 5),
        "stride": stride,
        "pad_top": top,
        "pad_left": left,
        "pad_code": rng.randrange(256),
        "across": max(stride * (shape[1] - 1) + 3, left + width),
        "down": max(stride * (shape[0] - 1) + 3, top + rows),
        "plane_words": rng.randrange(1, 90),  # every word lies in the 512 of the smallest machine
    }
    return gather, shape, [[rng.getrandbits(32) for _ in range(width)] for _ in range(rows)]


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
@pytest.mark.parametrize("seed", range(4))
def test_every_window(machine: MachineConfig, seed: int, ends: Any, simulate: Any) -> None:
    """Any size, stride, padding and channels, one image after the other, with stalls."""
    dut = WindowGatherer(machine)
    rng = random.Random(seed)
    simulator = Simulator(dut)
    got: list[Any] = []
    ends(seed).collect(simulator, dut.words, got)

    async def bench(ctx: Any) -> None:
        for _ in range(4):
            gather, shape, image = draw(rng)
            ctx.set(dut.gather, gather)
            ctx.set(dut.load, 1)
            await ctx.tick()
            ctx.set(dut.load, 0)
            ctx.set(dut.gather, dict.fromkeys(gather, 0))
            await ends(seed + 1).give(ctx, dut.pixels, [pixel for row in image for pixel in row])
            while ctx.get(dut.busy):
                await ctx.tick()
            words = [(each.group, each.bank, each.address, each.data) for each in got]
            assert words == expected_words(machine, gather, shape, image)
            got.clear()

    simulator.add_testbench(bench)
    simulate(simulator)


@pytest.mark.parametrize(("channels", "words"), [(1, 1), (3, 2), (4, 3)])
def test_a_position_or_a_word_a_cycle(channels: int, words: int, simulate: Any) -> None:
    """6x6 positions, 16 windows: a cycle a position and one for each further word of a window."""
    dut = WindowGatherer(MACHINES[1])
    simulator = Simulator(dut)
    gather = {"width": 4, "rows": 4, "row_words": 1, "channels": channels, "stride": 1}
    gather |= {"pad_top": 1, "pad_left": 1, "across": 6, "down": 6}

    async def bench(ctx: Any) -> None:
        ctx.set(dut.gather, gather)
        ctx.set(dut.load, 1)
        await ctx.tick()
        ctx.set(dut.load, 0)
        ctx.set(dut.pixels.valid, 1)
        ctx.set(dut.words.ready, 1)
        cycles = 0
        while ctx.get(dut.busy) or ctx.get(dut.pixels.ready):
            await ctx.tick()
            cycles += 1
        # The last word is taken a cycle behind the last position.
        assert cycles == 36 + 16 * (words - 1) + 1

    simulator.add_testbench(bench)
    simulate(simulator)


def test_too_few_pixels_do_not_keep_it_busy(simulate: Any) -> None:
    """A transfer that ends early leaves the rest unwritten; the next one begins anew."""
    dut = WindowGatherer(MACHINES[0])
    simulator = Simulator(dut)
    gather = {"width": 3, "rows": 3, "channels": 1, "stride": 1, "across": 3, "down": 3}

    async def bench(ctx: Any) -> None:
        ctx.set(dut.gather, gather)
        ctx.set(dut.words.ready, 1)
        for pixels, windows in ((5, 0), (9, 1)):
            ctx.set(dut.load, 1)
            await ctx.tick()
            ctx.set(dut.load, 0)
            ctx.set(dut.pixels.valid, 1)
            for _ in range(pixels):
                await ctx.tick()
            ctx.set(dut.pixels.valid, 0)
            assert ctx.get(dut.busy) == windows
            await ctx.tick().repeat(4)
            assert not ctx.get(dut.busy)

    simulator.add_testbench(bench)
    simulate(simulator)
