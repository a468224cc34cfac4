# SPDX-License-Identifier: Apache-2.0
"""What is on the other side of the ports: external memory and the ends of streams."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
from amaranth.lib.data import Const
from amaranth.sim import Simulator

BEAT = 8
PAGE = 4096


@dataclass
class ExternalMemory:
    """AXI4 subordinate with random stalls that checks what the manager does.

    Parameters
    ----------
    seed : of the stalls.
    stall : probability that a channel rests in a cycle.
    fault : tells whether the beat at an address is answered with an error.
    late_address : take a write address only when there are data, as a subordinate may.
    """

    seed: int = 0
    stall: float = 0.3
    fault: Callable[[int], bool] = lambda address: False
    late_address: bool = False
    data: dict[int, int] = field(default_factory=dict)
    read_bursts: list[tuple[int, int]] = field(default_factory=list)
    write_bursts: list[tuple[int, int]] = field(default_factory=list)

    def write(self, address: int, content: bytes) -> None:
        """Put bytes into memory, without the bus."""
        self.data.update(enumerate(content, start=address))

    def read(self, address: int, length: int) -> bytes:
        """Return bytes of memory, without the bus; a byte never written reads 0xA5."""
        return bytes(self.data.get(each, 0xA5) for each in range(address, address + length))

    def _check_burst(self, address: int, length: int, attributes: tuple[int, ...]) -> None:
        beats = length + 1
        assert attributes == (0, 3, 1, 0, 0b0011, 0), "id, 8 bytes, INCR, no lock, normal, prot 0"
        assert address % BEAT == 0
        assert beats <= 16
        assert address // PAGE == (address + beats * BEAT - 1) // PAGE, "crosses 4 KiB"

    def attach(self, simulator: Simulator, read: Any = None, write: Any = None) -> None:
        """Add the memory to a simulation, at the read or write channels or both."""
        if read is not None:
            simulator.add_process(partial(self._serve_reads, bus=read))
        if write is not None:
            simulator.add_process(partial(self._serve_writes, bus=write))

    async def _serve_reads(self, ctx: Any, bus: Any) -> None:
        rng = random.Random(f"read {self.seed}")
        waiting: deque[tuple[int, bool]] = deque()
        held = _Held()
        offered = ready = False
        attributes = ("arid", "arsize", "arburst", "arlock", "arcache", "arprot")
        names = ("arvalid", "araddr", "arlen", *attributes, "rready")
        async for _, _, *values in ctx.tick().sample(*(getattr(bus, name) for name in names)):
            valid, address, length, *rest, taken = values
            held.check(valid, ready, (address, length))
            if valid and ready:
                self._check_burst(address, length, tuple(rest))
                self.read_bursts.append((address, length + 1))
                waiting += [(address + BEAT * n, n == length) for n in range(length + 1)]
            if offered and taken:
                offered = False
                waiting.popleft()
            ready = rng.random() >= self.stall
            offered = offered or (bool(waiting) and rng.random() >= self.stall)
            ctx.set(bus.arready, ready)
            ctx.set(bus.rvalid, offered)
            if offered:
                address, last = waiting[0]
                ctx.set(bus.rdata, int.from_bytes(self.read(address, BEAT), "little"))
                ctx.set(bus.rlast, last)
                ctx.set(bus.rresp, 2 if self.fault(address) else 0)

    async def _serve_writes(self, ctx: Any, bus: Any) -> None:
        rng = random.Random(f"write {self.seed}")
        bursts: deque[tuple[int, int]] = deque()
        beats: deque[tuple[int, int, int]] = deque()
        answers: deque[bool] = deque()
        held_address, held_data = _Held(), _Held()
        answering = address_ready = data_ready = False
        attributes = ("awid", "awsize", "awburst", "awlock", "awcache", "awprot")
        names = ("awvalid", "awaddr", "awlen", *attributes)
        names += ("wvalid", "wdata", "wstrb", "wlast", "bready")
        async for _, _, *values in ctx.tick().sample(*(getattr(bus, name) for name in names)):
            valid, address, length, *rest, data_valid, data, strobes, last, taken = values
            held_address.check(valid, address_ready, (address, length))
            held_data.check(data_valid, data_ready, (data, strobes, last))
            if valid and address_ready:
                self._check_burst(address, length, tuple(rest))
                self.write_bursts.append((address, length + 1))
                bursts.append((address, length + 1))
            if data_valid and data_ready:
                beats.append((data, strobes, last))
            if answering and taken:
                answering = False
                answers.popleft()
            while bursts and len(beats) >= bursts[0][1]:
                answers.append(self._take_burst(*bursts.popleft(), beats))
            data_ready = rng.random() >= self.stall
            address_ready = rng.random() >= self.stall
            if self.late_address:
                address_ready = bool(beats) or bool(data_valid)
            answering = answering or (bool(answers) and rng.random() >= self.stall)
            ctx.set(bus.awready, address_ready)
            ctx.set(bus.wready, data_ready)
            ctx.set(bus.bvalid, answering)
            if answering:
                ctx.set(bus.bresp, 2 if answers[0] else 0)

    def _take_burst(self, address: int, count: int, beats: deque[tuple[int, int, int]]) -> bool:
        """Store the beats of a burst; return whether it fails."""
        failed = False
        for number in range(count):
            data, strobes, last = beats.popleft()
            assert strobes == 0xFF
            assert last == (number == count - 1)
            place = address + BEAT * number
            failed = failed or self.fault(place)
            if not failed:
                self.write(place, data.to_bytes(BEAT, "little"))
        return failed


class _Held:
    """Checks that what is valid stays as it is until it is taken (AMBA AXI, A3.2.1)."""

    def __init__(self) -> None:
        self._held: tuple[int, ...] | None = None

    def check(self, valid: int, ready: bool, payload: tuple[int, ...]) -> None:
        """Take in one clock edge."""
        if self._held is not None:
            assert valid
            assert payload == self._held
        self._held = payload if valid and not ready else None


@dataclass
class Ends:
    """Sources and sinks of streams, with random stalls.

    Parameters
    ----------
    seed : of the stalls.
    stall : probability that an end rests in a cycle.
    shy : a sink is ready only when it has seen that there is something, as it may be.
    """

    seed: int = 0
    stall: float = 0.3
    shy: bool = False

    async def give(self, ctx: Any, stream: Any, items: Iterable[Any]) -> None:
        """Hand over items, each held until it is taken; as a part of a testbench."""
        rng = random.Random(f"give {self.seed}")
        for item in items:
            while rng.random() < self.stall:
                await ctx.tick()
            ctx.set(stream.payload, item)
            ctx.set(stream.valid, 1)
            await ctx.tick().until(stream.ready)
            ctx.set(stream.valid, 0)

    def collect(self, simulator: Simulator, stream: Any, items: list[Any]) -> None:
        """Append what a stream gives to ``items`` as long as the simulation runs."""

        async def run(ctx: Any) -> None:
            rng = random.Random(f"collect {self.seed}")
            ready = False
            held = _Held()
            async for _, _, valid, payload in ctx.tick().sample(stream.valid, stream.payload):
                value = payload.as_bits() if isinstance(payload, Const) else payload
                held.check(valid, ready, (value,))
                if valid and ready:
                    items.append(payload)
                ready = rng.random() >= self.stall and (valid or not self.shy)
                ctx.set(stream.ready, ready)

        simulator.add_process(run)


@pytest.fixture
def external_memory() -> type[ExternalMemory]:
    """An AXI4 memory for the simulator."""
    return ExternalMemory


@pytest.fixture
def ends() -> type[Ends]:
    """Sources and sinks of streams."""
    return Ends


@pytest.fixture
def simulate() -> Callable[..., None]:
    """``simulate(simulator, limit)``: run all testbenches to their end, within ``limit`` cycles."""

    def run(simulator: Simulator, limit: int = 20_000) -> None:
        simulator.add_clock(1e-8)
        # The clock changes twice in a cycle.
        for _ in range(2 * limit):
            if not simulator.advance():
                return
        pytest.fail(f"The testbenches must end within {limit} cycles")

    return run
