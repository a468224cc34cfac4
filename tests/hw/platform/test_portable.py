# SPDX-License-Identifier: Apache-2.0
"""The circuits of the array against integers."""

from __future__ import annotations

import random
from typing import Any

import pytest
from amaranth.hdl import Module, Signal
from amaranth.sim import Simulator

from tritone_hw.platform.portable import Operand, PortableForm, Sum


def simulate(m: Module, bench: Any) -> None:
    simulator = Simulator(m)
    simulator.add_testbench(bench)
    simulator.run()


def test_every_shift() -> None:
    """7 bits of activation << shift, inverted if negative."""
    m, activation, shift, sign = Module(), Signal(4), Signal(2), Signal()
    result = Signal(7)
    value = PortableForm().shift(m, activation, shift, sign)
    assert len(value) == 7
    m.d.comb += result.eq(value)

    async def bench(ctx: Any) -> None:
        for word in range(1 << 7):
            a, by, negative = word & 15, word >> 4 & 3, word >> 6
            ctx.set(activation, a)
            ctx.set(shift, by)
            ctx.set(sign, negative)
            await ctx.delay(1e-9)
            assert ctx.get(result) == (127 - (a << by) if negative else a << by)

    simulate(m, bench)


def test_closed_sums() -> None:
    """A sum is closed if its operands' largest values fit it."""
    seven = Operand(Signal(7), 127)
    assert Sum((seven, seven), 8).closed
    assert not Sum((seven, seven, Operand(Signal(2), 2)), 8).closed
    assert Sum((seven, seven, Operand(Signal(2), 1)), 8).closed


@pytest.mark.parametrize("on", [0, 1])
@pytest.mark.parametrize("bits", [4, 5])
def test_sums_in_one_chain_do_not_meet(bits: int, on: int) -> None:
    """Masks, and a carry that a sum loses does not reach the next one."""
    m = Module()
    values, masks = [Signal(4) for _ in range(4)], [Signal() for _ in range(4)]
    operands = [Operand(v, 15, mask, on) for v, mask in zip(values, masks, strict=True)]
    sums = [Sum((operands[0], operands[1]), bits), Sum((operands[2], operands[3]), bits)]
    results = [Signal(bits), Signal(bits)]
    for result, value in zip(results, PortableForm().add(m, sums), strict=True):
        m.d.comb += result.eq(value)
    rng = random.Random(bits)

    async def bench(ctx: Any) -> None:
        for _ in range(300):
            drawn = [rng.randrange(16) for _ in range(4)]
            through = [rng.random() < 0.8 for _ in range(4)]
            for number in range(4):
                ctx.set(values[number], drawn[number])
                ctx.set(masks[number], on if through[number] else 1 - on)
            await ctx.delay(1e-9)
            kept = [value if let else 0 for value, let in zip(drawn, through, strict=True)]
            assert [ctx.get(each) for each in results] == [
                (kept[0] + kept[1]) % (1 << bits),
                (kept[2] + kept[3]) % (1 << bits),
            ]

    simulate(m, bench)
