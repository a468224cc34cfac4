# SPDX-License-Identifier: Apache-2.0
"""The bench inside the simulator: plays a job on the machine and writes down what came of it.

It judges nothing; what the machine wrote is compared outside. ``tritone_sim.execution`` starts it.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import cocotb
from cocotb.triggers import Timer

from tritone.spec.regmap import ErrorCode, Status
from tritone_sim.drivers import CLOCK_NS, Host
from tritone_sim.job import Job, Outcome, Pass, Progress

__all__ = ["play"]

_POLL_CYCLES = 20_000


@cocotb.test()
async def play(dut: Any) -> None:
    """Play the job in the folder that the plusarg ``job`` names."""
    folder = Path(str(cocotb.plusargs["job"]))
    job = Job.load(folder)
    host = Host(dut)
    strobe = dut.engine.write_back_valid
    await host.reset()
    done = 0
    for index, each in enumerate(job.passes):
        outcome = await _run(host, strobe, job, each, folder, done)
        outcome.save(folder, index)
        done += each.images


async def _run(host: Host, strobe: Any, job: Job, each: Pass, folder: Path, done: int) -> Outcome:
    where = job.memory_map
    memory = host.memory
    memory.write(where.program, job.payload)
    memory.write(where.images, job.images)
    result_bytes = each.images * job.result_bytes
    dump_bytes = each.images * job.dump_bytes if each.dump else 0
    memory.write(where.results, Host.POISON * result_bytes)
    memory.write(where.dumps, Host.POISON * dump_bytes)

    memory.set_fault(each.fault)
    host.stall(each.stall)
    tasks = [cocotb.start_soon(host.watch())] if each.stall else []
    host.write_backs.clear()
    host.open_reads = 0
    if each.dump:
        tasks.append(cocotb.start_soon(host.time_write_backs(strobe)))

    for name, value in {
        "program_address": where.program,
        "program_instructions": job.instructions,
        "image_address": where.images + each.first * job.image_bytes,
        "result_address": where.results,
        "dump_address": where.dumps,
        "image_count": each.images,
    }.items():
        await host.write(name, value)
    began, processor_began = time.perf_counter(), time.process_time()
    await host.start(dump=each.dump)
    if each.reset_after is None:
        await _finish(host, job, folder, done)
    else:
        await Timer(each.reset_after * CLOCK_NS, "ns")
        await host.reset()
    seconds = time.perf_counter() - began
    processor_seconds = time.process_time() - processor_began

    host.stall(None)
    for task in tasks:
        task.cancel()
    return Outcome(
        status=Status(await host.read("status")),
        error=ErrorCode(await host.read("error")),
        instruction=await host.read("instruction"),
        images_done=await host.read("images_done"),
        cycles=await host.read_wide("cycles"),
        array_cycles=await host.read_wide("array_cycles"),
        read_beats=await host.read("read_beats"),
        write_beats=await host.read("write_beats"),
        fingerprint=await host.read_wide("fingerprint"),
        open_reads=host.open_reads,
        seconds=seconds,
        processor_seconds=processor_seconds,
        results=bytes(memory.read(where.results, result_bytes)),
        dumps=bytes(memory.read(where.dumps, dump_bytes)),
        write_backs=tuple(host.write_backs),
    )


async def _finish(host: Host, job: Job, folder: Path, done: int) -> None:
    """Wait for the interrupt and report progress meanwhile."""
    last, idle = 0, 0
    poll = min(_POLL_CYCLES, job.hang_cycles)
    while not await host.wait(poll):
        images = await host.read("images_done")
        Progress(images_done=done + images).save(folder)
        idle = 0 if images != last else idle + poll
        last = images
        if idle >= job.hang_cycles:
            instruction = await host.read("instruction")
            raise TimeoutError(
                f"Machine must finish an image in {job.hang_cycles} cycles, "
                f"not hang at instruction {instruction}"
            )
