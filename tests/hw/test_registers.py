# SPDX-License-Identifier: Apache-2.0
"""The register port against an AXI4-Lite host that stalls on every channel."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from amaranth.sim import Simulator

from tritone.spec.axi import Response
from tritone.spec.machine import ISA_VERSION, preset
from tritone.spec.regmap import REGISTERS, Access, Control, ErrorCode, Status, register
from tritone_hw.registers import SETTINGS, Registers

MACHINE = preset("tiny")
CONTROL, STATUS = register("control").address, register("status").address
BEHIND = 4 * len(REGISTERS)


class Host:
    """AXI4-Lite manager: every channel on its own, each with stalls.

    Parameters
    ----------
    dut : the registers.
    rng : of the stalls.
    stall : their probability.
    """

    def __init__(self, dut: Registers, rng: random.Random, stall: float) -> None:
        self.bus = dut.bus
        self.rng = rng
        self.stall = stall
        self.takes_answers = True
        self.jobs: dict[str, list[Any]] = {"aw": [], "w": [], "ar": []}
        self.answers: dict[str, list[Any]] = {"b": [], "r": []}

    def attach(self, simulator: Simulator) -> None:
        """Add the channels to a simulation."""
        for channel, names in (("aw", ("addr",)), ("w", ("data", "strb")), ("ar", ("addr",))):
            simulator.add_process(self._source(channel, names))
        for channel, names in (("b", ("resp",)), ("r", ("resp", "data"))):
            simulator.add_process(self._sink(channel, names))

    def _source(self, channel: str, names: tuple[str, ...]) -> Callable[[Any], Awaitable[None]]:
        async def run(ctx: Any) -> None:
            valid = getattr(self.bus, f"{channel}valid")
            offered = False
            ready = getattr(self.bus, f"{channel}ready")
            async for _, _, taken in ctx.tick().sample(ready):
                if offered and taken:
                    offered = False
                    self.jobs[channel].pop(0)
                offered = offered or (bool(self.jobs[channel]) and self.rng.random() >= self.stall)
                ctx.set(valid, offered)
                if offered:
                    for name, value in zip(names, self.jobs[channel][0], strict=True):
                        ctx.set(getattr(self.bus, channel + name), value)

        return run

    def _sink(self, channel: str, names: tuple[str, ...]) -> Callable[[Any], Awaitable[None]]:
        async def run(ctx: Any) -> None:
            ready = held = None
            fields = [getattr(self.bus, channel + name) for name in ("valid", *names)]
            async for _, _, valid, *payload in ctx.tick().sample(*fields):
                if held is not None:
                    assert valid
                    assert payload == held
                held = payload if valid and not ready else None
                if valid and ready:
                    self.answers[channel].append(payload)
                ready = self.takes_answers and self.rng.random() >= self.stall
                ctx.set(getattr(self.bus, f"{channel}ready"), ready)

        return run

    async def write(self, ctx: Any, address: int, data: int, strobes: int = 0xF) -> int:
        """Write a register; return the response."""
        self.jobs["aw"].append((address,))
        self.jobs["w"].append((data, strobes))
        while not self.answers["b"]:
            await ctx.tick()
        (response,) = self.answers["b"].pop()
        return int(response)

    async def read(self, ctx: Any, address: int) -> tuple[int, int]:
        """Read a register; return the response and the data."""
        self.jobs["ar"].append((address,))
        while not self.answers["r"]:
            await ctx.tick()
        response, data = self.answers["r"].pop()
        return int(response), int(data)

    async def value(self, ctx: Any, name: str) -> int:
        """Return the value of a register."""
        response, data = await self.read(ctx, register(name).address)
        assert response == Response.OKAY
        return data


def run_bench(
    simulate: Any, bench: Callable[[Any, Registers, Host], Awaitable[None]], stall: float = 0.3
) -> None:
    """Simulate a bench with the registers and their host."""
    dut = Registers(MACHINE)
    host = Host(dut, random.Random(stall), stall)
    simulator = Simulator(dut)
    host.attach(simulator)

    async def testbench(ctx: Any) -> None:
        await bench(ctx, dut, host)

    simulator.add_testbench(testbench)
    simulate(simulator)


@pytest.mark.parametrize("stall", [0.0, 0.3, 0.8])
def test_settings_hold_what_is_written(stall: float, simulate: Any) -> None:
    """Byte strobes and the lowest address bits as AXI has them; the outputs follow."""

    async def bench(ctx: Any, dut: Registers, host: Host) -> None:
        rng = random.Random(1)
        held = dict.fromkeys(SETTINGS, 0)
        for _ in range(40):
            name = rng.choice(SETTINGS)
            data, strobes = rng.getrandbits(32), rng.getrandbits(4)
            address = register(name).address + rng.randrange(4)
            assert await host.write(ctx, address, data, strobes) == Response.OKAY
            mask = sum(0xFF << 8 * byte for byte in range(4) if strobes >> byte & 1)
            held[name] = data & mask | held[name] & ~mask
            for each, value in held.items():
                assert ctx.get(getattr(dut, each)) == value
            assert await host.value(ctx, name) == held[name]

    run_bench(simulate, bench, stall)


def test_what_cannot_be_written_or_read(simulate: Any) -> None:
    """Read-only registers stay and answer SLVERR; there is nothing behind the last register."""

    async def bench(ctx: Any, dut: Registers, host: Host) -> None:
        ctx.set(dut.instruction, 7)
        before = {each.name: await host.value(ctx, each.name) for each in REGISTERS}
        assert before["fingerprint_low"] == MACHINE.fingerprint % 2**32
        assert before["fingerprint_high"] == MACHINE.fingerprint >> 32
        assert before["version"] == ISA_VERSION
        assert before["instruction"] == 7
        others = set(before) - {"fingerprint_low", "fingerprint_high", "version", "instruction"}
        assert not any(before[name] for name in others)
        for each in REGISTERS:
            if each.access is Access.READ:
                assert await host.write(ctx, each.address, 0xFFFF_FFFF) == Response.SLVERR
        for address in (BEHIND, BEHIND + 4, (1 << len(dut.bus.araddr)) - 4):
            assert await host.write(ctx, address, 1) == Response.DECERR
            assert await host.read(ctx, address) == (Response.DECERR, 0)
        assert {each.name: await host.value(ctx, each.name) for each in REGISTERS} == before

    run_bench(simulate, bench)


@pytest.mark.parametrize("first", ["aw", "w"])
def test_address_and_data_in_any_order(first: str, simulate: Any) -> None:
    """A write waits for its other half, and so does the one behind it."""

    async def bench(ctx: Any, dut: Registers, host: Host) -> None:
        one, two = register("image_address").address, register("dump_address").address
        halves = {"aw": [(one,), (two,)], "w": [(1, 0xF), (2, 0xF)]}
        second = "w" if first == "aw" else "aw"
        host.jobs[first] += halves[first]
        await ctx.tick().repeat(30)
        assert len(host.jobs[first]) == 1
        assert not host.answers["b"]
        host.jobs[second] += halves[second]
        while len(host.answers["b"]) < 2:
            await ctx.tick()
        assert (ctx.get(dut.image_address), ctx.get(dut.dump_address)) == (1, 2)

    run_bench(simulate, bench)


def test_answers_wait_for_the_host(simulate: Any) -> None:
    """While a host takes no answers, its transactions wait; none is lost or answered twice."""

    async def bench(ctx: Any, dut: Registers, host: Host) -> None:
        addresses = [register(name).address for name in SETTINGS[:3]]
        host.takes_answers = False
        await ctx.tick().repeat(3)
        host.jobs["aw"] += [(address,) for address in addresses]
        host.jobs["w"] += [(value, 0xF) for value in (11, 12, 13)]
        await ctx.tick().repeat(40)
        assert not host.answers["b"]
        host.takes_answers = True
        while len(host.answers["b"]) < 3:
            await ctx.tick()
        host.takes_answers = False
        await ctx.tick().repeat(3)
        host.jobs["ar"] += [(address,) for address in addresses]
        await ctx.tick().repeat(40)
        assert not host.answers["r"]
        host.takes_answers = True
        while len(host.answers["r"]) < 3:
            await ctx.tick()
        await ctx.tick().repeat(40)
        assert host.answers["b"] == [[Response.OKAY]] * 3
        assert host.answers["r"] == [[Response.OKAY, value] for value in (11, 12, 13)]

    run_bench(simulate, bench)


def test_a_run(simulate: Any) -> None:
    """START begins one run at a time; the counters count its cycles; the end is told and kept."""

    async def bench(ctx: Any, dut: Registers, host: Host) -> None:
        strobes = {"array_step": 5, "read_beat": 9, "write_beat": 2, "image_done": 3}

        async def count(name: str, cycles: int) -> None:
            ctx.set(getattr(dut, name), 1)
            await ctx.tick().repeat(cycles)
            ctx.set(getattr(dut, name), 0)

        for error in (ErrorCode.NONE, ErrorCode.READ_ERROR, ErrorCode.NONE):
            # What happens before a run does not count.
            await count("read_beat", 4)
            host.jobs["aw"].append((CONTROL,))
            host.jobs["w"].append((Control.START | Control.DUMP, 0xF))
            await ctx.tick().until(dut.start)
            assert ctx.get(dut.busy)
            assert ctx.get(dut.dump)
            await ctx.tick()
            for name, cycles in strobes.items():
                await count(name, cycles)
            await ctx.tick().repeat(10)
            # The cycle of `stop` is the last one that is busy.
            cycles_behind_start = 1 + sum(strobes.values()) + 10 + 1
            assert not ctx.get(dut.start)
            assert not ctx.get(dut.interrupt)
            ctx.set(dut.stop, 1)
            ctx.set(dut.error, error)
            await ctx.tick()
            ctx.set(dut.stop, 0)
            ctx.set(dut.error, 0)
            assert not ctx.get(dut.busy)
            host.answers["b"].clear()
            status = Status.DONE if error == ErrorCode.NONE else Status.ERROR
            assert await host.value(ctx, "status") == status
            assert await host.value(ctx, "error") == error
            assert await host.value(ctx, "cycles_low") == cycles_behind_start
            assert await host.value(ctx, "cycles_high") == 0
            assert await host.value(ctx, "array_cycles_low") == 5
            assert await host.value(ctx, "read_beats") == 9
            assert await host.value(ctx, "write_beats") == 2
            assert await host.value(ctx, "images_done") == 3

    run_bench(simulate, bench, 0.0)


def test_start_while_busy_is_ignored(simulate: Any) -> None:
    """The other bits of control are taken at any time; START reads 0."""

    async def bench(ctx: Any, dut: Registers, host: Host) -> None:
        starts = 0

        async def write(value: Control) -> None:
            nonlocal starts
            host.jobs["aw"].append((CONTROL,))
            host.jobs["w"].append((value, 0x1))
            while not host.answers["b"]:
                *_, start = await ctx.tick().sample(dut.start)
                starts += start
            host.answers["b"].clear()

        await write(Control.START)
        await write(Control.START | Control.INTERRUPT_ENABLE)
        await write(Control.START | Control.DUMP)
        assert starts == 1
        assert await host.value(ctx, "control") == Control.DUMP
        assert await host.value(ctx, "status") == Status.BUSY
        assert await host.write(ctx, CONTROL, Control.START, strobes=0xE) == Response.OKAY
        assert await host.value(ctx, "control") == Control.DUMP

    run_bench(simulate, bench)


def test_interrupt(simulate: Any) -> None:
    """It is high while enabled and done or failed, until it is disabled or a run begins."""

    async def bench(ctx: Any, dut: Registers, host: Host) -> None:
        async def stop(error: ErrorCode) -> None:
            ctx.set(dut.stop, 1)
            ctx.set(dut.error, error)
            await ctx.tick()
            ctx.set(dut.stop, 0)

        for error in (ErrorCode.ILLEGAL_INSTRUCTION, ErrorCode.NONE, ErrorCode.READ_ERROR):
            await host.write(ctx, CONTROL, Control.START | Control.INTERRUPT_ENABLE)
            assert not ctx.get(dut.interrupt)
            assert await host.value(ctx, "status") == Status.BUSY
            assert await host.value(ctx, "error") == ErrorCode.NONE
            await stop(error)
            assert ctx.get(dut.interrupt)
            await host.write(ctx, CONTROL, 0)
            assert not ctx.get(dut.interrupt)
            await host.write(ctx, CONTROL, Control.INTERRUPT_ENABLE)
            assert ctx.get(dut.interrupt)

    run_bench(simulate, bench)
