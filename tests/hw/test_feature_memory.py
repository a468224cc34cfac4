# SPDX-License-Identifier: Apache-2.0
"""The feature memory against a dictionary of bytes, all five ports at once."""

from __future__ import annotations

import random

import pytest
from amaranth import Signal, signed
from amaranth.sim import Simulator

from tritone.spec.machine import MachineConfig
from tritone_hw.feature_memory import FeatureMemory, bank_index, bank_word

WORDS = 4


def machine(rows: int, columns: int, pixels: int) -> MachineConfig:
    return MachineConfig(
        name="small",
        rows=rows,
        columns=columns,
        pixels=pixels,
        requantizer_slots=4,
        feature_words=WORDS,
    )


@pytest.mark.parametrize(
    "shape",
    [machine(8, 8, 1), machine(8, 4, 2), machine(16, 4, 4)],
    ids=["one pixel", "two groups in a word", "four groups in a word"],
)
def test_reads_give_what_was_written(shape: MachineConfig) -> None:
    """Random traffic: all writes are kept, reads give the words before this cycle's writes."""
    dut = FeatureMemory(shape)
    rng = random.Random(shape.rows + shape.pixels)
    banks, columns = shape.banks, shape.columns
    word_bytes = shape.rows
    memory = {
        (group, bank, word): bytes(word_bytes)
        for group in range(2)
        for bank in range(banks)
        for word in range(WORDS)
    }
    waits = {"read": 0, "write": 0}

    async def bench(ctx) -> None:
        answers: list[bytes | None] = [None] * FeatureMemory.READ_LATENCY
        windows: list[list[bytes] | None] = [None] * FeatureMemory.WINDOW_LATENCY
        lines: list[list[bytes] | None] = [None] * FeatureMemory.WINDOW_LATENCY
        for _ in range(600):
            window, tile, read, write, line = (rng.random() < 0.6 for _ in range(5))
            groups = [rng.randrange(2) for _ in range(4)]
            line_group = 1 - groups[0] if window else rng.randrange(2)
            line_address = rng.randrange(WORDS)
            ctx.set(dut.line.valid, line)
            ctx.set(dut.line.payload, {"group": line_group, "address": line_address})
            addresses = [rng.randrange(WORDS) for _ in range(banks)]
            ctx.set(dut.window.valid, window)
            ctx.set(dut.window.payload, {"group": groups[0], "addresses": addresses})
            channels = [rng.randbytes(columns) for _ in range(banks)]
            tile_address = rng.randrange(WORDS)
            chosen = [rng.randrange(2) for _ in range(banks)]
            column_group = rng.randrange(shape.word_columns)
            ctx.set(dut.tile.valid, tile)
            ctx.set(
                dut.tile.payload,
                {
                    "group": groups[1],
                    "address": tile_address,
                    "banks": sum(bit << bank for bank, bit in enumerate(chosen)),
                    "column_groups": 1 << column_group,
                    "channels": [list(each) for each in channels],
                },
            )
            read_key = (groups[2], rng.randrange(banks), rng.randrange(WORDS))
            write_key = (groups[3], rng.randrange(banks), rng.randrange(WORDS))
            data = rng.randbytes(word_bytes)
            names = ("group", "bank", "address")
            ctx.set(dut.read.valid, read)
            ctx.set(dut.read.payload, dict(zip(names, read_key, strict=True)))
            ctx.set(dut.write.valid, write)
            ctx.set(
                dut.write.payload,
                {
                    **dict(zip(names, write_key, strict=True)),
                    "data": int.from_bytes(data, "little"),
                },
            )

            assert ctx.get(dut.data_valid) == (answers[0] is not None)
            if answers[0] is not None:
                assert ctx.get(dut.data) == int.from_bytes(answers[0], "little")
            if windows[0] is not None:
                packed = b"".join(windows[0])
                assert ctx.get(dut.words.as_value()) == int.from_bytes(packed, "little")

            if lines[0] is not None:
                packed = b"".join(lines[0])
                assert ctx.get(dut.line_words.as_value()) == int.from_bytes(packed, "little")

            read_taken = not (window and groups[0] == groups[2])
            read_taken &= not line
            write_taken = not tile
            assert ctx.get(dut.read.ready) == read_taken
            assert ctx.get(dut.write.ready) == write_taken
            waits["read"] += read and not read_taken
            waits["write"] += write and not write_taken
            answers = [*answers[1:], memory[read_key] if read and read_taken else None]
            words = [memory[groups[0], bank, word] for bank, word in enumerate(addresses)]
            windows = [*windows[1:], words if window else None]
            words = [memory[line_group, bank, line_address] for bank in range(banks)]
            lines = [*lines[1:], words if line else None]
            if tile:
                for bank in range(banks):
                    if chosen[bank]:
                        key = (groups[1], bank, tile_address)
                        word = bytearray(memory[key])
                        first = column_group * columns
                        word[first : first + columns] = channels[bank]
                        memory[key] = bytes(word)
            if write and write_taken:
                memory[write_key] = data
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert min(waits.values()) > 0


@pytest.mark.parametrize("pixels", [1, 2, 4, 8])
def test_bank_of_a_pixel(pixels: int) -> None:
    """Pixel x lies in bank x mod 2P, word x div 2P, also left of the row."""
    shape = machine(8, 4, pixels)
    x = Signal(signed(14))

    async def bench(ctx) -> None:
        for value in range(-20, 200):
            ctx.set(x, value)
            assert ctx.get(bank_index(shape, x)) == value % (2 * pixels)
            assert ctx.get(bank_word(shape, x)) == value // (2 * pixels)

    simulator = Simulator(FeatureMemory(shape))
    simulator.add_testbench(bench)
    simulator.run()


def test_machine_is_checked() -> None:
    with pytest.raises(TypeError, match=r"^Machine must be a MachineConfig, not 8$"):
        FeatureMemory(8)
