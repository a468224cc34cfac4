# SPDX-License-Identifier: Apache-2.0
"""The probe against an array that is given the same."""

from __future__ import annotations

import random
from typing import Any

from amaranth.hdl import Module
from amaranth.sim import Simulator

from tritone.spec.machine import MachineConfig
from tritone_hw.array import Array
from tritone_hw.platform.array_probe import ArrayProbe

MACHINE = MachineConfig(name="small", rows=8, columns=4, pixels=1, requantizer_slots=4)


def test_parity_is_that_of_all_sums() -> None:
    """157 outputs take four levels of parities: what stood at the array four cycles ago."""
    probe, array = ArrayProbe(Array(MACHINE)), Array(MACHINE)
    m = Module()
    m.submodules += [probe, array]
    rng = random.Random(1)
    parities: list[int] = []
    shown: list[int] = []

    async def bench(ctx: Any) -> None:
        register = 0
        for _ in range(120):
            bit = rng.getrandbits(1)
            ctx.set(probe.serial_in, bit)
            ctx.set(array.valid, register & 1)
            ctx.set(array.clear, register >> 1 & 1)
            ctx.set(array.drain, register >> 2 & 1)
            ctx.set(array.nibbles.as_value(), register >> 3 & ((1 << 32) - 1))
            ctx.set(array.weights.as_value(), register >> 35 & ((1 << 128) - 1))
            sums = [ctx.get(each.as_value()) for each in (array.even, array.odd)]
            parities.append((sum(word.bit_count() for word in sums) + ctx.get(array.drained)) & 1)
            shown.append(ctx.get(probe.parity))
            await ctx.tick()
            register = register << 1 | bit

    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert shown[4:] == parities[:-4]
    assert {0, 1} == set(parities[20:])
