# SPDX-License-Identifier: Apache-2.0
"""Packed words become the term codes of their lanes."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from amaranth.sim import Simulator

from tritone.spec.machine import preset
from tritone_hw.code_unpacker import CodeUnpacker
from tritone_hw.emit import convert
from tritone_hw.engine import Engine

SHAPE = preset("tiny-packed")
LANES = SHAPE.rows * SHAPE.columns


def expected(nibble: int, packing: int, word: int, terms: tuple[int, int, int]) -> int:
    """Return the term of a lane, written out from docs/machine.md."""
    base, low, high = terms
    table = (base, base ^ low, base ^ high, base ^ low ^ high)
    if packing == 2:
        return table[nibble >> word & 1]
    if packing == 1:
        return table[(nibble >> word % 2 & 1) + 2 * (nibble >> word % 2 + 2 & 1)]
    return nibble


def test_every_nibble_in_every_form() -> None:
    """All nibbles in all lanes, forms and words; what codes stand for and the order are drawn.

    A new selection comes every cycle, its word one cycle and its terms ``LATENCY`` cycles later.
    """
    rng = random.Random(5)
    dut = CodeUnpacker(SHAPE)
    # Lane by lane another nibble; 16 rotations give each lane every one.
    cases = [
        (
            packing,
            word,
            [(lane + turn) % 16 for lane in range(LANES)],
            tuple(rng.choices(range(16), k=3)),
        )
        for packing in range(3)
        for word in range(4)
        for turn in range(16)
    ]
    rng.shuffle(cases)

    async def bench(ctx) -> None:
        for cycle in range(len(cases) + CodeUnpacker.LATENCY):
            if cycle < len(cases):
                packing, word, _, terms = cases[cycle]
                ctx.set(dut.selection.packing, packing)
                ctx.set(dut.selection.word, word)
                ctx.set(dut.selection.terms, dict(zip(("base", "low", "high"), terms, strict=True)))
            if 0 < cycle <= len(cases):
                nibbles = cases[cycle - 1][2]
                ctx.set(dut.word, sum(nibble << 4 * lane for lane, nibble in enumerate(nibbles)))
            if cycle >= CodeUnpacker.LATENCY:
                packing, word, nibbles, terms = cases[cycle - CodeUnpacker.LATENCY]
                found = [ctx.get(dut.terms[lane]) for lane in range(LANES)]
                assert found == [expected(nibble, packing, word, terms) for nibble in nibbles]
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


def test_machine_is_checked() -> None:
    with pytest.raises(TypeError, match=r"^Machine must be a MachineConfig, not 1$"):
        CodeUnpacker(1)


@pytest.mark.parametrize("packing", [False, True])
def test_other_machines_have_none(packing: bool) -> None:
    """Neither it nor a memory of terms."""
    text = convert(Engine(replace(preset("tiny"), packing=packing)), "engine")
    for part in ("code_unpacker", "terms_memory"):
        assert (f"engine.{part}" in text) == packing, part
