# SPDX-License-Identifier: Apache-2.0
"""What a sequencer is connected to: transfers and an engine that only take their time."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from amaranth.sim import Simulator

from tritone.spec.isa import PASS_STEP, RECORDS, Base, MemoryId, Opcode
from tritone.spec.machine import MachineConfig, preset
from tritone.spec.regmap import ErrorCode
from tritone_hw.sequencer import Sequencer

MACHINE = preset("tiny")
MOST = MACHINE.instruction_words // 8
BASES = {Base.PROGRAM: 0x1000, Base.IMAGE: 0x20000, Base.RESULT: 0x30000}
DUMP = 0x40000
IMAGE_BYTES, RESULT_BYTES = 0x68, 0x18
LOAD = {"memory": MemoryId.WEIGHT, "words": 2, "beats": 4}
STORE = {"width": 3, "rows": 2, "row_words": 2}
KINDS = ("load", "store", "layer")
SIZES = "in_channels in_turn out_width out_height out_channels stored_rows"
SIZES += " kernel_height kernel_width pass_steps stride"
DRAIN = PASS_STEP.pack(dict.fromkeys((each.name for each in PASS_STEP.fields), 0) | {"drain": 1})
LAYER = dict.fromkeys(SIZES.split(), 1) | {"steps": DRAIN}


def instruction(opcode: Opcode, **values: int) -> int:
    """Return an instruction whose other fields are 0."""
    record = RECORDS[opcode]
    fields = dict.fromkeys((each.name for each in record.fields), 0) | values
    return record.pack(fields | {"opcode": opcode})


def next_image(target: int = 0, **values: int) -> int:
    """Return a NEXT."""
    distances = {"image_bytes": IMAGE_BYTES, "result_bytes": RESULT_BYTES}
    return instruction(Opcode.NEXT, target=target, **(distances | values))


@dataclass
class Surroundings:
    """What a sequencer is connected to.

    Parameters
    ----------
    program : what the load of the program delivers.
    seed : of these times.
    fail_load, fail_store : number of the load or store that meets an error.
    cycles : range of the times that everything takes.
    events : ("load" | "store" | "layer", request, other things under way) in order.
    machine : shape of the sequencer's machine.
    images : images done.
    """

    program: Sequence[int]
    seed: int = 0
    fail_load: int = -1
    fail_store: int = -1
    cycles: tuple[int, int] = (1, 60)
    events: list[tuple[str, Any, set[str]]] = field(default_factory=list)
    machine: MachineConfig = MACHINE
    images: int = 0

    def __post_init__(self) -> None:
        self.dut = Sequencer(self.machine)
        self.simulator = Simulator(self.dut)
        dut = self.dut
        for kind, port, busy, error in (
            ("load", dut.load, dut.loading, dut.read_error),
            ("store", dut.store, dut.storing, dut.write_error),
            ("layer", dut.layer, dut.layer_busy, None),
        ):
            self.simulator.add_process(self._server(kind, port, busy, error))

    def _server(self, kind: str, port: Any, busy: Any, error: Any) -> Callable[[Any], Any]:
        async def run(ctx: Any) -> None:
            rng = random.Random(f"{kind} {self.seed}")
            number = 0
            works = (self.dut.loading, self.dut.storing, self.dut.layer_busy)
            while True:
                ctx.set(port.ready, 1)
                valid = False
                while not valid:
                    ports = (port.valid, port.payload, *works)
                    _, _, valid, request, *busy_now = await ctx.tick().sample(*ports)
                working = {name for name, now in zip(KINDS, busy_now, strict=True) if now}
                self.events.append((kind, request, working))
                ctx.set(port.ready, 0)
                ctx.set(busy, 1)
                if kind == "load" and request.program:
                    await self._deliver(ctx, request.beats)
                await self._rest(ctx, rng.randrange(*self.cycles))
                failing = {"load": self.fail_load, "store": self.fail_store}.get(kind)
                if number == failing:
                    ctx.set(error, 1)
                    await ctx.tick()
                    ctx.set(error, 0)
                    await self._rest(ctx, rng.randrange(1, 20))
                if kind == "store":
                    region = request.region
                    end = request.target + region.width * region.rows * MACHINE.rows
                    ctx.set(self.dut.store_end, end)
                ctx.set(busy, 0)
                number += 1

        return run

    async def _rest(self, ctx: Any, cycles: int) -> None:
        # Not repeat(): a process that is left there when the simulation ends gives a warning.
        for _ in range(cycles):
            await ctx.tick()

    async def _deliver(self, ctx: Any, beats: int) -> None:
        stream = self.dut.program_write
        ctx.set(stream.valid, 1)
        for number in range(beats):
            ctx.set(stream.payload, self.program[number // 8] >> 64 * (number % 8) & (2**64 - 1))
            await ctx.tick()
        ctx.set(stream.valid, 0)

    async def run(
        self, ctx: Any, images: int = 1, dump: bool = False, instructions: int | None = None
    ) -> ErrorCode:
        """Start, wait for the end, return its code."""
        dut = self.dut
        settings = {
            "program_address": BASES[Base.PROGRAM],
            "image_address": BASES[Base.IMAGE],
            "result_address": BASES[Base.RESULT],
            "dump_address": DUMP,
            "image_count": images,
            "program_instructions": (len(self.program) if instructions is None else instructions),
            "dump": dump,
            "start": 1,
        }
        for name, value in settings.items():
            ctx.set(getattr(dut, name), value)
        await ctx.tick()
        for name in settings:
            ctx.set(getattr(dut, name), 0)  # they are taken over at start
        self.images = 0
        stop = False
        while not stop:
            ports = (dut.stop, dut.error, dut.image_done, dut.loading, dut.storing, dut.layer_busy)
            _, _, stop, error, done, *busy = await ctx.tick().sample(*ports)
            self.images += done
        assert not any(busy)
        return ErrorCode(error)

    def simulate(self, simulate: Any, bench: Callable[[Any], Any]) -> None:
        """Run a testbench."""
        self.simulator.add_testbench(bench)
        simulate(self.simulator)
