# SPDX-License-Identifier: Apache-2.0
"""The accelerator behind four pins is the accelerator: a register is read through them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from amaranth.sim import Simulator

from tritone.spec.axi import LITE_DATA_BITS
from tritone.spec.machine import ISA_VERSION, preset
from tritone.spec.regmap import register
from tritone_hw.platform.serial_host import SerialHost

SMALL = replace(preset("tiny"), columns=4, requantizer_slots=4, feature_words=4, weight_words=4)


def test_a_register_through_the_pins(simulate: Callable[..., None]) -> None:
    """A read of the instruction set's version, bit by bit, gives the version, bit by bit."""
    dut = SerialHost(SMALL)
    assert sum(bits for _, bits in dut.inputs) > 100
    values = {
        "s_axil_araddr": register("version").address,
        "s_axil_arvalid": 1,
        "s_axil_rready": 0,
    }
    word = 0
    for name, bits in reversed(dut.inputs):
        word = word << bits | values.get(name, 0)
    length = sum(bits for _, bits in dut.inputs)
    seen: list[int] = []

    async def bench(ctx: Any) -> None:
        ctx.set(dut.shift, 1)
        for place in reversed(range(length)):
            ctx.set(dut.serial_in, word >> place & 1)
            await ctx.tick()
        ctx.set(dut.shift, 0)
        # The valid bit of the read is the first 1 that passes its place, so no other read began.
        await ctx.tick().repeat(2)
        ctx.set(dut.capture, 1)
        await ctx.tick()
        ctx.set(dut.capture, 0)
        ctx.set(dut.shift, 1)
        for _ in range(sum(bits for _, bits in dut.outputs)):
            seen.append(ctx.get(dut.serial_out))
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_testbench(bench)
    simulate(simulator, 5_000)
    found = int("".join(map(str, seen)), 2)
    outputs = {}
    for name, bits in dut.outputs:
        outputs[name] = found & (1 << bits) - 1
        found >>= bits
    assert outputs["s_axil_rvalid"] == 1
    assert outputs["s_axil_rdata"] == ISA_VERSION
    assert ISA_VERSION != 0
    assert len(f"{ISA_VERSION:b}") <= LITE_DATA_BITS
