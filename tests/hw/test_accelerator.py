# SPDX-License-Identifier: Apache-2.0
"""The whole machine, from its registers to external memory, in Amaranth's simulator."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from amaranth.sim import Simulator

from tritone.compiler import compile_network, pack_images
from tritone.golden.machine import GoldenMachine
from tritone.graph import PoolKind
from tritone.spec.machine import preset
from tritone.spec.regmap import Control, ErrorCode, Status, register
from tritone_hw.accelerator import Accelerator

# Small memories only make the simulation quicker.
MACHINE = replace(preset("tiny"), feature_words=64, weight_words=64, parameter_words=64)
PROGRAM, IMAGES, RESULTS, DUMPS = 0x1000, 0x10FF8, 0x20008, 0x30FF0


async def write(ctx: Any, bus: Any, name: str, value: int) -> None:
    """Write a register."""
    ctx.set(bus.awaddr, register(name).address)
    ctx.set(bus.wdata, value)
    ctx.set(bus.wstrb, 0xF)
    for port in (bus.awvalid, bus.wvalid, bus.bready):
        ctx.set(port, 1)
    await ctx.tick().until(bus.awready & bus.wready)
    ctx.set(bus.awvalid, 0)
    ctx.set(bus.wvalid, 0)
    await ctx.tick().until(bus.bvalid)


async def read(ctx: Any, bus: Any, name: str) -> int:
    """Read a register."""
    ctx.set(bus.araddr, register(name).address)
    ctx.set(bus.arvalid, 1)
    ctx.set(bus.rready, 1)
    await ctx.tick().until(bus.arready)
    ctx.set(bus.arvalid, 0)
    data, *_ = await ctx.tick().sample(bus.rdata).until(bus.rvalid)
    return int(data)


def test_a_network(external_memory: Any, simulate: Any, random_network: Any, spec: Any) -> None:
    """Every tensor of two images as the golden machine has it; an error; a run without dumps."""
    network = random_network(
        (2, 4, 3),
        [
            spec(out=9, pad=(1, 1, 1, 1)),
            spec(kind=PoolKind.MAX, kernel=(2, 2), stride=2),
            spec(out=3, kernel=(2, 1), codebook="int8", bits=8, wide=True),
        ],
    )
    program = compile_network(network, MACHINE)
    images = np.random.default_rng(0).integers(0, 256, (2, 2, 4, 3), np.uint8)
    data, size = pack_images(images, program), program.metadata["image"]["bytes"]
    golden = GoldenMachine(program)
    expected = [golden.execute(data[at : at + size]) for at in (0, size)]

    dut = Accelerator(MACHINE)
    memory = external_memory(seed=3, stall=0.2)
    memory.write(PROGRAM, program.payload)
    memory.write(IMAGES, data)
    simulator = Simulator(dut)
    memory.attach(simulator, read=dut.m_axi.read, write=dut.m_axi.write)
    bus = dut.s_axil
    settings = {
        "program_address": PROGRAM,
        "program_instructions": program.instructions,
        "image_address": IMAGES,
        "result_address": RESULTS,
        "dump_address": DUMPS,
        "image_count": 2,
    }

    def compare_results() -> None:
        length = program.metadata["result"]["bytes"]
        for index, execution in enumerate(expected):
            address = RESULTS + length * index
            assert memory.read(address, len(execution.result)) == execution.result

    def compare_dumps() -> None:
        dumps = b"".join(dump for execution in expected for dump in execution.dumps)
        assert memory.read(DUMPS, len(dumps)) == dumps
        assert DUMPS + len(dumps) not in memory.data

    async def run(ctx: Any, control: Control) -> Status:
        await write(ctx, bus, "control", control | Control.START | Control.INTERRUPT_ENABLE)
        await ctx.tick().repeat(2)
        await ctx.tick().until(dut.interrupt)
        return Status(await read(ctx, bus, "status"))

    async def bench(ctx: Any) -> None:
        for name, value in settings.items():
            await write(ctx, bus, name, value)
        assert await run(ctx, Control.DUMP) == Status.DONE
        assert await read(ctx, bus, "images_done") == 2
        compare_dumps()
        compare_results()

        memory.fault = lambda address: address == IMAGES
        assert await run(ctx, Control(0)) == Status.ERROR
        assert await read(ctx, bus, "error") == ErrorCode.READ_ERROR
        assert await read(ctx, bus, "images_done") == 0

        memory.fault = lambda address: False
        for address in [each for each in memory.data if each >= RESULTS]:
            del memory.data[address]
        before = len(memory.read_bursts), len(memory.write_bursts)
        assert await run(ctx, Control(0)) == Status.DONE
        compare_results()
        assert DUMPS not in memory.data
        for name, bursts in (
            ("read_beats", memory.read_bursts[before[0] :]),
            ("write_beats", memory.write_bursts[before[1] :]),
        ):
            assert await read(ctx, bus, name) == sum(beats for _, beats in bursts)
        steps = await read(ctx, bus, "array_cycles_low")
        assert 0 < steps < await read(ctx, bus, "cycles_low")

    simulator.add_testbench(bench)
    simulate(simulator)
