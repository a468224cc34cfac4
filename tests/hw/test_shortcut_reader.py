# SPDX-License-Identifier: Apache-2.0
"""The shortcut reader against a dictionary of words."""

from __future__ import annotations

import random

import pytest
from amaranth.sim import Simulator

from tritone.spec.isa import LAYER
from tritone.spec.machine import MachineConfig
from tritone_hw.feature_memory import FeatureMemory
from tritone_hw.shortcut_reader import ShortcutReader

BLANK = dict.fromkeys((field.name for field in LAYER.fields), 0)


def machine(rows: int, columns: int, pixels: int) -> MachineConfig:
    return MachineConfig(
        name="small", rows=rows, columns=columns, pixels=pixels, requantizer_slots=4
    )


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(
    "shape",
    [machine(8, 8, 1), machine(8, 4, 2), machine(16, 4, 4)],
    ids=["one pixel", "two groups in a word", "four groups in a word"],
)
def test_codes_less_their_zero(shape: MachineConfig, stride: int) -> None:
    """Each pixel of each tile, LATENCY cycles later; nothing is asked for or added if unwanted."""
    dut = ShortcutReader(shape)
    rng = random.Random(shape.rows + stride)
    zero = rng.randrange(1, 255)
    words = [
        [rng.randbytes(shape.rows) for _ in range(shape.banks)] for _ in range(8)
    ]  # (address, bank)

    async def bench(ctx) -> None:
        layer = {"out_group": 1, "shortcut_stride": stride - 1, "shortcut_zero": zero}
        ctx.set(dut.layer, BLANK | layer)
        held = None  # the tile whose codes stand
        due: list[list[list[int]] | None] = [None] * ShortcutReader.LATENCY
        lines: list[int] = [0] * FeatureMemory.WINDOW_LATENCY
        for _ in range(300):
            seen = b"".join(words[lines[0]])
            ctx.set(dut.words.as_value(), int.from_bytes(seen, "little"))
            held = due[0] if due[0] is not None else held
            if held is not None:
                got = [list(pixel) for pixel in ctx.get(dut.codes)]
                assert got == held

            valid, wanted = rng.random() < 0.7, rng.random() < 0.8
            address, upper = rng.randrange(len(words)), rng.randrange(2)
            group = rng.randrange(shape.word_columns)
            ctx.set(dut.valid, valid)
            ctx.set(dut.place, {"wanted": wanted, "address": address, "upper": upper})
            ctx.set(dut.column_group, group)
            codes = []
            for pixel in range(shape.pixels):
                bank = 2 * pixel if stride == 2 else upper * shape.pixels + pixel
                first = group * shape.columns
                taken = words[address][bank][first : first + shape.columns]
                codes.append([code - zero if wanted else 0 for code in taken])
            due = [*due[1:], codes if valid else None]
            # Asked at once.
            assert ctx.get(dut.line.valid) == (valid and wanted)
            assert ctx.get(dut.line.payload.group) == 1
            lines = [*lines[1:], ctx.get(dut.line.payload.address) % len(words)]
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


def test_machine_is_checked() -> None:
    with pytest.raises(TypeError, match=r"^Machine must be a MachineConfig, not 8$"):
        ShortcutReader(8)
