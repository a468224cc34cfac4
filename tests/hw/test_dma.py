# SPDX-License-Identifier: Apache-2.0
"""Transfers between a memory that stalls and fails and the memories on the chip."""

from __future__ import annotations

import random
from typing import Any

import pytest
from amaranth.sim import Simulator

from tritone.spec.isa import MemoryId
from tritone.spec.machine import MachineConfig, preset
from tritone_hw.dma import LOAD_REQUEST, Dma

MACHINES = [preset("tiny"), MachineConfig(name="sixteen", rows=16, columns=8, pixels=2)]
PROGRAM, WEIGHTS, IMAGE = 0x1000, 0x2FC8, 0x5000
REGION = {"group": 1, "base": 3, "width": 6, "rows": 5, "row_words": 4}


def load(**fields: int) -> dict[str, int]:
    """Return a request for a load; what is not said is 0."""
    return dict.fromkeys(LOAD_REQUEST.members, 0) | fields


class Bench:
    """A Dma between an external memory and sinks, and a feature memory made of a dictionary."""

    def __init__(self, machine: MachineConfig, memory: Any, ends: Any, seed: int) -> None:
        self.dut = dut = Dma(machine)
        self.machine = machine
        self.memory = memory
        self.simulator = Simulator(dut)
        self.program: list[int] = []
        self.words: list[Any] = []
        self.pixels: list[Any] = []
        self.features: dict[tuple[int, int, int], int] = {}
        memory.attach(self.simulator, read=dut.bus.read, write=dut.bus.write)
        ends(seed + 1).collect(self.simulator, dut.memory_write, self.words)
        ends(seed + 2).collect(self.simulator, dut.feature_write, self.pixels)
        self.simulator.add_process(self._serve_features)
        self.simulator.add_process(self._keep_program)

    async def _keep_program(self, ctx: Any) -> None:
        port = self.dut.program_write
        async for _, _, valid, beat in ctx.tick().sample(port.valid, port.payload):
            if valid:
                self.program.append(beat)

    async def _serve_features(self, ctx: Any) -> None:
        rng = random.Random(5)
        port = self.dut.feature_read
        ready = False
        before = None
        async for _, _, valid, place in ctx.tick().sample(port.valid, port.payload):
            answer = before
            before = (place.group, place.bank, place.address) if valid and ready else None
            ctx.set(self.dut.feature_data_valid, answer is not None)
            if answer is not None:
                ctx.set(self.dut.feature_data, self.features[answer])
            ready = rng.random() < 0.7
            ctx.set(port.ready, ready)

    async def run(
        self, ctx: Any, load: dict[str, int] | None = None, store: dict[str, Any] | None = None
    ) -> tuple[int, int]:
        """Run a load and a store side by side; return how often each told an error."""
        dut = self.dut
        for port, request in ((dut.load, load), (dut.store, store)):
            if request is not None:
                assert ctx.get(port.ready)
                ctx.set(port.payload, request)
                ctx.set(port.valid, 1)
        await ctx.tick()
        ctx.set(dut.load.valid, 0)
        ctx.set(dut.store.valid, 0)
        assert ctx.get(dut.loading) == (load is not None)
        assert ctx.get(dut.storing) == (store is not None)
        errors = [0, 0]
        while ctx.get(dut.loading) or ctx.get(dut.storing):
            sampled = (dut.read_error, dut.write_error, dut.loading, dut.storing)
            *_, read_error, write_error, loading, storing = await ctx.tick().sample(*sampled)
            assert loading >= read_error
            assert storing >= write_error
            errors[0] += read_error
            errors[1] += write_error
        return errors[0], errors[1]

    def fill_region(self) -> bytes:
        """Put random pixels into REGION; return what a store of it writes."""
        rng = random.Random(9)
        banks = 2 * self.machine.pixels
        data = b""
        for y in range(REGION["rows"]):
            for x in range(REGION["width"]):
                address = REGION["base"] + y * REGION["row_words"] + x // banks
                word = rng.randbytes(self.machine.rows)
                place = (REGION["group"], x % banks, address)
                self.features[place] = int.from_bytes(word, "little")
                data += word
        return data


def beats(data: bytes) -> list[int]:
    """Return bytes as the numbers that the bus carries."""
    return [int.from_bytes(data[at : at + 8], "little") for at in range(0, len(data), 8)]


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_every_destination(
    machine: MachineConfig, stall: float, external_memory: Any, ends: Any, simulate: Any
) -> None:
    """Program, words and pixels, in turn; a store beside each of them."""
    memory = external_memory(seed=1, stall=stall)
    bench = Bench(machine, memory, ends, 1)
    rng = random.Random(2)
    program, weights, image = rng.randbytes(8 * 24), rng.randbytes(32 * 2), rng.randbytes(8 * 9)
    memory.write(PROGRAM, program)
    memory.write(WEIGHTS, weights)
    memory.write(IMAGE, image)
    stored = bench.fill_region()

    async def run(ctx: Any) -> None:
        request = load(source=PROGRAM, program=1, beats=24)
        store = {"target": 0x8FE8, "region": REGION}
        assert await bench.run(ctx, request, store) == (0, 0)
        assert bench.program == beats(program)
        assert memory.read(0x8FE8, len(stored)) == stored
        assert ctx.get(bench.dut.store_end) == 0x8FE8 + len(stored)

        size = machine.rows * machine.columns // 16
        fields = {"memory": MemoryId.WEIGHT, "address": 11, "words": 8 // size, "beats": 8}
        # Each nibble becomes 15 less it.
        fields["table"] = 0x0123_4567_89AB_CDEF
        assert await bench.run(ctx, load(source=WEIGHTS, **fields)) == (0, 0)
        words = [(w.memory, w.address, w.beat, w.last, w.data) for w in bench.words]
        assert words == [
            (MemoryId.WEIGHT, 11 + n // size, n % size, n % size == size - 1, beat ^ (1 << 64) - 1)
            for n, beat in enumerate(beats(weights))
        ]

        # 67 pixels of a byte lie in 8 and 3/8 beats.
        shape = {"width": 67, "rows": 1, "row_words": 34, "pixel_bytes": 0}
        for group, which in enumerate((MemoryId.FEATURE_0, MemoryId.FEATURE_1)):
            bench.pixels.clear()
            request = load(source=IMAGE, memory=which, address=2, beats=9, **shape)
            assert await bench.run(ctx, request) == (0, 0)
            banks = 2 * machine.pixels
            assert [(p.group, p.bank, p.address, p.data) for p in bench.pixels] == [
                (group, x % banks, 2 + x // banks, image[x]) for x in range(67)
            ]
        assert len(bench.program) == 24
        assert len(bench.words) == 8

    bench.simulator.add_testbench(run)
    simulate(bench.simulator)


@pytest.mark.parametrize("failing", [0, 3, 8])
def test_errors_are_told_and_end(
    failing: int, external_memory: Any, ends: Any, simulate: Any
) -> None:
    """A read error leaves the store alone and the other way round; then both work again."""
    machine = preset("tiny")
    memory = external_memory(seed=failing)
    bench = Bench(machine, memory, ends, failing)
    image = random.Random(2).randbytes(8 * 9)
    memory.write(IMAGE, image)
    stored = bench.fill_region()
    shape = {"width": 9, "rows": 1, "row_words": 9, "pixel_bytes": 3, "beats": 9}
    request = load(source=IMAGE, memory=MemoryId.FEATURE_0, **shape)
    store = {"target": 0x9000, "region": REGION}

    async def run(ctx: Any) -> None:
        memory.fault = lambda address: address == IMAGE + 8 * failing
        assert await bench.run(ctx, request, store) == (1, 0)
        assert [pixel.data for pixel in bench.pixels] == beats(image)[:failing]
        assert memory.read(0x9000, len(stored)) == stored
        bench.pixels.clear()

        memory.data.clear()
        memory.write(IMAGE, image)
        memory.fault = lambda address: address == 0x9000 + 8 * failing
        assert await bench.run(ctx, request, store) == (0, 1)
        assert [pixel.data for pixel in bench.pixels] == beats(image)
        bench.pixels.clear()

        memory.fault = lambda address: False
        assert await bench.run(ctx, request, store) == (0, 0)
        assert [pixel.data for pixel in bench.pixels] == beats(image)
        assert memory.read(0x9000, len(stored)) == stored

    bench.simulator.add_testbench(run)
    simulate(bench.simulator)


def test_beats_are_counted(external_memory: Any, ends: Any, simulate: Any) -> None:
    """The counters' strobes are high once for each beat on the bus."""
    bench = Bench(preset("tiny"), external_memory(seed=4), ends, 4)
    counted = [0, 0]
    bench.fill_region()

    async def count(ctx: Any) -> None:
        dut = bench.dut
        async for _, _, read, write in ctx.tick().sample(dut.read_beat, dut.write_beat):
            counted[0] += read
            counted[1] += write

    async def run(ctx: Any) -> None:
        request = load(source=PROGRAM, program=1, beats=33)
        await bench.run(ctx, request, {"target": 0, "region": REGION})

    bench.simulator.add_process(count)
    bench.simulator.add_testbench(run)
    simulate(bench.simulator)
    assert counted == [33, REGION["width"] * REGION["rows"]]
