# SPDX-License-Identifier: Apache-2.0
"""The loadable memory against a list of words."""

from __future__ import annotations

import random

import pytest
from amaranth.sim import Simulator

from tritone.spec.machine import BEAT_BITS
from tritone_hw.loadable_memory import LoadableMemory


@pytest.mark.parametrize(("word_bits", "depth"), [(64, 4), (128, 8), (256, 16)])
def test_words_are_the_beats_that_were_written(word_bits: int, depth: int) -> None:
    """Beats of words in random order, with gaps, while other words are read each cycle."""
    dut = LoadableMemory(word_bits, depth)
    rng = random.Random(word_bits)
    beats = word_bits // BEAT_BITS
    model = [0] * depth

    async def bench(ctx) -> None:
        expected = None
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
            if expected is not None:
                assert ctx.get(dut.word) == expected
            expected = model[asked]
            if valid:
                model[address] &= ~(((1 << BEAT_BITS) - 1) << beat * BEAT_BITS)
                model[address] |= data << beat * BEAT_BITS
            await ctx.tick()
        ctx.set(dut.write.valid, 0)
        for address, word in enumerate(model):
            ctx.set(dut.address, address)
            for _ in range(LoadableMemory.LATENCY):
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
