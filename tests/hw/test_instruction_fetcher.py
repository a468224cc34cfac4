# SPDX-License-Identifier: Apache-2.0
"""Instructions come back as they were written, in a known number of cycles."""

from __future__ import annotations

import random
from typing import Any

from amaranth.sim import Simulator

from tritone.spec.isa import INSTRUCTION_BEATS, INSTRUCTION_BITS
from tritone.spec.machine import preset
from tritone_hw.instruction_fetcher import InstructionFetcher


def test_instructions_come_back(simulate: Any) -> None:
    """A program that fills the memory, then a shorter one over it."""
    machine = preset("tiny")
    dut = InstructionFetcher(machine)
    most = machine.instruction_words // INSTRUCTION_BEATS
    rng = random.Random(0)

    async def load(ctx: Any, program: list[int]) -> None:
        ctx.set(dut.rewind, 1)
        await ctx.tick()
        ctx.set(dut.rewind, 0)
        for word in program:
            for beat in range(INSTRUCTION_BEATS):
                ctx.set(dut.program_write.valid, 0)
                if rng.random() < 0.2:
                    await ctx.tick()
                ctx.set(dut.program_write.payload, word >> (64 * beat) & (2**64 - 1))
                ctx.set(dut.program_write.valid, 1)
                await ctx.tick()
        ctx.set(dut.program_write.valid, 0)

    async def fetch(ctx: Any, index: int) -> int:
        ctx.set(dut.index, index)
        ctx.set(dut.fetch, 1)
        await ctx.tick()
        ctx.set(dut.fetch, 0)
        ctx.set(dut.index, 0)
        cycles = 1
        while not ctx.get(dut.fetched):
            await ctx.tick()
            cycles += 1
        assert cycles == dut.CYCLES
        return int(ctx.get(dut.instruction.bits))

    async def bench(ctx: Any) -> None:
        old = [rng.getrandbits(INSTRUCTION_BITS) for _ in range(most)]
        new = [rng.getrandbits(INSTRUCTION_BITS) for _ in range(3)]
        await load(ctx, old)
        for index in (0, 1, most - 1, 17, 17):
            assert await fetch(ctx, index) == old[index]
        for _ in range(2):  # the second time, writing has stopped in the middle
            await load(ctx, new)
        for index, word in enumerate([*new, old[3]]):
            assert await fetch(ctx, index) == word
        await ctx.tick().repeat(20)
        assert ctx.get(dut.fetched)
        assert ctx.get(dut.instruction.bits) == old[3]

    simulator = Simulator(dut)
    simulator.add_testbench(bench)
    simulate(simulator)
