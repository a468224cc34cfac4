# SPDX-License-Identifier: Apache-2.0
"""tritone_hw.board.uart: bytes on a line."""

from __future__ import annotations

from typing import Any

import pytest
from amaranth.sim import Simulator

from tritone_hw.board.uart import UartReceiver, UartTransmitter

BYTES = b"\x00\xff\x55\xaa\x01\x80\xc0\xdb"


def bits_of(byte: int) -> list[int]:
    """Return a start bit, the bits, a stop bit."""
    return [0, *(byte >> n & 1 for n in range(8)), 1]


@pytest.mark.parametrize("divisor", [4, 5, 25])
def test_a_transmitted_byte(divisor: int, simulate: Any) -> None:
    """Each bit takes as many cycles as it must; bytes follow each other."""
    dut = UartTransmitter(divisor)
    simulator = Simulator(dut)
    line: list[int] = []

    async def bench(ctx: Any) -> None:
        assert ctx.get(dut.line) == 1
        for byte in BYTES:
            ctx.set(dut.data.payload, byte)
            ctx.set(dut.data.valid, 1)
            assert ctx.get(dut.data.ready)
            await ctx.tick()
            ctx.set(dut.data.valid, 0)
            while not ctx.get(dut.data.ready):
                line.append(ctx.get(dut.line))
                await ctx.tick()
        assert ctx.get(dut.line) == 1

    simulator.add_testbench(bench)
    simulate(simulator)
    assert line == [bit for byte in BYTES for bit in bits_of(byte) for _ in range(divisor)]


@pytest.mark.parametrize(("divisor", "bit_cycles"), [(4, 4.0), (25, 25.0), (25, 24.0), (25, 26.0)])
def test_a_received_byte(divisor: int, bit_cycles: float, simulate: Any) -> None:
    """From a sender whose clock is 4 % off too; no pause between bytes but the stop bit."""
    dut = UartReceiver(divisor)
    simulator = Simulator(dut)
    got: list[int] = []

    async def bench(ctx: Any) -> None:
        ctx.set(dut.line, 1)
        await ctx.tick().repeat(5)
        bits = [bit for byte in BYTES for bit in bits_of(byte)] + [1, 1]
        for cycle in range(int(len(bits) * bit_cycles)):
            ctx.set(dut.line, bits[int(cycle / bit_cycles)])
            *_, valid, data = await ctx.tick().sample(dut.valid, dut.data)
            if valid:
                got.append(data)

    simulator.add_testbench(bench)
    simulate(simulator)
    assert bytes(got) == BYTES


def test_what_is_no_byte(simulate: Any) -> None:
    """A glitch shorter than half a bit, and a byte without a stop bit, are dropped."""
    dut = UartReceiver(8)
    simulator = Simulator(dut)
    got: list[int] = []

    async def bench(ctx: Any) -> None:
        async def hold(level: int, cycles: int) -> None:
            ctx.set(dut.line, level)
            for _ in range(cycles):
                *_, valid, data = await ctx.tick().sample(dut.valid, dut.data)
                if valid:
                    got.append(data)

        await hold(1, 10)
        await hold(0, 3)  # a glitch
        await hold(1, 100)
        await hold(0, 150)  # a break: longer than a byte
        await hold(1, 20)
        for bit in bits_of(0x3C):
            await hold(bit, 8)
        await hold(1, 20)

    simulator.add_testbench(bench)
    simulate(simulator)
    assert got == [0x3C]


@pytest.mark.parametrize("kind", [UartReceiver, UartTransmitter])
def test_divisors(kind: type) -> None:
    """A bit has a middle."""
    with pytest.raises(ValueError, match=r"^Divisor must be at least 4, not 3$"):
        kind(3)
    with pytest.raises(TypeError, match=r"^Divisor must be an integer, not 4\.0$"):
        kind(4.0)
