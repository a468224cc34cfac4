# SPDX-License-Identifier: Apache-2.0
"""The loadable memory against a list of words."""

from __future__ import annotations

import random

import pytest
from amaranth.sim import Simulator

from tritone.spec.machine import BEAT_BITS
from tritone_hw.loadable_memory import LoadableMemory


@pytest.mark.parametrize(
    ("word_bits", "depth", "slice_beats", "latency"),
    [
        (64, 4, None, 1),
        (128, 8, None, 1),
        (256, 16, None, 1),
        (64, 4, 4, 2),
        (256, 8, 2, 2),
        (320, 8, 2, 2),
    ],
)
def test_words_are_the_beats_that_were_written(
    word_bits: int, depth: int, slice_beats: int | None, latency: int
) -> None:
    """Beats of words in random order, with gaps, while other words are read each cycle."""
    dut = LoadableMemory(word_bits, depth, slice_beats)
    assert dut.latency == latency
    rng = random.Random(word_bits)
    beats = word_bits // BEAT_BITS
    model = [0] * depth

    async def bench(ctx) -> None:
        # A beat is written by the end of the cycle in which its word may be asked for.
        expected = [None] * latency
        for _ in range(40 * depth):
            address, beat = rng.randrange(depth), rng.randrange(beats)
            data, valid = rng.getrandbits(BEAT_BITS), rng.random() < 0.7
            asked = rng.choice([each for each in range(depth) if each != address])
            ctx.set(dut.write.valid, valid)
            ctx.set(
                dut.write.payload,
                {
                    "memory": rng.randrange(3),
                    "address": address,
                    "beat": beat,
                    "last": beat + 1 == beats,
                    "data": data,
                },
            )
            ctx.set(dut.address, asked)
            if expected[0] is not None:
                assert ctx.get(dut.word) == expected[0]
            expected = [*expected[1:], model[asked]]
            if valid:
                model[address] &= ~(((1 << BEAT_BITS) - 1) << beat * BEAT_BITS)
                model[address] |= data << beat * BEAT_BITS
            await ctx.tick()
        ctx.set(dut.write.valid, 0)
        for address, word in enumerate(model):
            ctx.set(dut.address, address)
            for _ in range(latency):
                await ctx.tick()
            assert ctx.get(dut.word) == word

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert all(model)
    assert (dut.word_bits, dut.depth) == (word_bits, depth)


@pytest.mark.parametrize(
    ("word_bits", "depth", "error", "message"),
    [
        ("64", 4, TypeError, r"^Word width must be an integer, not '64'$"),
        (96, 4, ValueError, r"^Word width must be a positive multiple of 64, not 96$"),
        (0, 4, ValueError, r"^Word width must be a positive multiple of 64, not 0$"),
        (64, 1.0, TypeError, r"^Depth must be an integer, not 1\.0$"),
        (64, 1, ValueError, r"^Depth must be at least 2 words, not 1$"),
    ],
)
def test_arguments_are_checked(
    word_bits: object, depth: object, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        LoadableMemory(word_bits, depth)


@pytest.mark.parametrize(
    ("slice_beats", "error", "message"),
    [
        ("4", TypeError, r"^Slice must be an integer, not '4'$"),
        (0, ValueError, r"^Slice must be a positive number of beats, not 0$"),
    ],
)
def test_slices_are_checked(slice_beats: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        LoadableMemory(64, 4, slice_beats)
