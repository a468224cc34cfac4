# SPDX-License-Identifier: Apache-2.0
"""Registers of beta and G: filled, read by index, one where a step is fixed."""

from __future__ import annotations

import random
from typing import Any

from amaranth.sim import Simulator

from tritone.spec.isa import LAYER, Adaptation
from tritone_hw.beta_registers import BetaRegisters

BLANK = dict.fromkeys((field.name for field in LAYER.fields), 0)


def simulate(dut: BetaRegisters, bench: Any) -> None:
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


def test_what_is_kept_is_read() -> None:
    """Random betas in all registers, each overwritten often; a layer takes what its rule says."""
    dut = BetaRegisters()
    rng = random.Random(0)
    betas: dict[int, int] = {}

    async def keep(ctx: Any, register: int, beta: int) -> None:
        ctx.set(dut.layer, {**BLANK, "adaptation": Adaptation.BETA, "beta_register": register})
        ctx.set(dut.beta, beta)
        ctx.set(dut.keep, 1)
        await ctx.tick()
        ctx.set(dut.keep, 0)
        ctx.set(dut.beta, rng.getrandbits(12))  # it is sampled with the strobe
        for _ in range(BetaRegisters.KEEP - 1):
            assert not ctx.get(dut.kept)
            await ctx.tick()
        assert ctx.get(dut.kept)
        await ctx.tick()
        assert not ctx.get(dut.kept)
        betas[register] = beta

    async def bench(ctx: Any) -> None:
        for _ in range(100):
            await keep(ctx, rng.randrange(4), rng.choice((512, 1024, 2048, rng.randint(512, 2048))))
            for register, beta in betas.items():
                gain = (2 * 2**18 + beta) // (2 * beta)
                for adaptation, expected in (
                    (Adaptation.NONE, (256, 1024)),
                    (Adaptation.BETA, (256, 1024)),
                    (Adaptation.STEP, (gain, 1024)),
                    (Adaptation.ADAPTED, (gain, beta)),
                ):
                    changes = {"adaptation": adaptation, "beta_register": register}
                    ctx.set(dut.layer, {**BLANK, **changes})
                    await ctx.tick()
                    assert (ctx.get(dut.gain), ctx.get(dut.scale)) == expected

    simulate(dut, bench)
    assert len(betas) == 4
