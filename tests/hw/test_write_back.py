# SPDX-License-Identifier: Apache-2.0
"""The write-back against the layout of docs/machine.md: pixel x in bank x mod 2P, word x div 2P."""

from __future__ import annotations

import random

import pytest
from amaranth.sim import Simulator

from tritone.spec.machine import MachineConfig
from tritone_hw.write_back import WriteBack


def machine(rows: int, columns: int, pixels: int) -> MachineConfig:
    return MachineConfig(
        name="small",
        rows=rows,
        columns=columns,
        pixels=pixels,
        requantizer_slots=4,
        feature_words=2048,
    )


@pytest.mark.parametrize(
    "shape",
    [machine(8, 4, 1), machine(8, 8, 2), machine(16, 4, 4), machine(8, 8, 8)],
    ids=lambda shape: f"P={shape.pixels}",
)
@pytest.mark.parametrize("wide", [0, 1], ids=["bytes", "wide"])
def test_each_byte_goes_to_its_place(shape: MachineConfig, wide: int) -> None:
    dut = WriteBack(shape)
    rng = random.Random(shape.pixels * 2 + wide)
    pixels, banks = shape.pixels, shape.banks

    async def bench(ctx) -> None:
        ctx.set(dut.wide, wide)
        for _ in range(60):
            valid, end, group = (rng.randrange(2) for _ in range(3))
            row, first = rng.randrange(1000), pixels * rng.randrange(20)
            mask = rng.randrange(1, 1 << pixels)
            column_group = rng.randrange(shape.word_columns)
            results = [
                [rng.randrange(-(1 << 15), 1 << 15) for _ in range(shape.columns)]
                for _ in range(pixels)
            ]
            ctx.set(dut.valid, valid)
            ctx.set(dut.group, group)
            ctx.set(dut.results, [[y & 0xFFFF for y in pixel] for pixel in results])
            destination = {
                "row": row,
                "x": first << wide,
                "column_group": column_group,
                "pixels": mask,
                "end": end,
            }
            ctx.set(dut.destination, destination)
            for _ in range(WriteBack.LATENCY):
                await ctx.tick()
            assert ctx.get(dut.tile.valid) == valid
            assert ctx.get(dut.landed) == (valid and end)

            expected = {}  # (bank, word, column): byte
            for pixel in range(pixels):
                if not mask >> pixel & 1:
                    continue
                for column, y in enumerate(results[pixel]):
                    stored = {first + pixel: y & 255}
                    if wide:
                        x = 2 * (first + pixel)
                        stored = {x: y & 255, x + 1: y >> 8 & 255}
                    for x, byte in stored.items():
                        expected[x % banks, row + x // banks, column] = byte
            tile = dut.tile.payload
            channels = ctx.get(tile.channels.as_value())
            written = {
                (bank, ctx.get(tile.address), column): channels
                >> 8 * (bank * shape.columns + column)
                & 255
                for bank in range(banks)
                if ctx.get(tile.banks) >> bank & 1
                for column in range(shape.columns)
            }
            assert written == expected
            assert ctx.get(tile.group) == group
            assert ctx.get(tile.column_groups) == 1 << column_group

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


def test_machine_is_checked() -> None:
    with pytest.raises(TypeError, match=r"^Machine must be a MachineConfig, not None$"):
        WriteBack(None)
