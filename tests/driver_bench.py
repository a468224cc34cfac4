# SPDX-License-Identifier: Apache-2.0
"""Benches inside the simulator that give a host's software the registers and the memory.

The software runs in a thread of its own and blocks at every access until the bus has answered. The
plusarg ``job`` names a folder with program.bin, images.bin, and for C the compiled driver.
"""

from __future__ import annotations

import ctypes
import json
import sys
from pathlib import Path
from typing import Any

import cocotb
from cocotb.task import bridge, resume
from cocotb.triggers import RisingEdge

from tritone.spec.program import Program
from tritone_sim.drivers import Host

PROGRAM, IMAGES, RESULTS = 0x1000, 0x40000, 0x80000
COUNT = 2


def access(host: Host) -> tuple[Any, Any, Any]:
    """Return functions for threads: read a register at a byte address, write it, the interrupt."""

    @resume
    async def read(address: int) -> int:
        return int(await host.registers.read_dword(address))

    @resume
    async def write(address: int, value: int) -> None:
        await host.registers.write_dword(address, value)

    @resume
    async def interrupt() -> int:
        # The write that lowers it has been answered a cycle before.
        await RisingEdge(host.dut.clk)
        return int(host.dut.interrupt.value)

    return read, write, interrupt


class SimulatedBuffer:
    """Bytes of the simulated memory, as a board's buffers are."""

    def __init__(self, host: Host, address: int, size: int) -> None:
        self.host, self.device_address, self.size = host, address, size
        self.written = b""
        self.valid = False

    def __setitem__(self, place: slice, value: Any) -> None:
        assert place == slice(None)
        self.written = bytes(value)

    def flush(self) -> None:
        self.host.memory.write(self.device_address, self.written)

    def invalidate(self) -> None:
        self.valid = True

    def __bytes__(self) -> bytes:
        assert self.valid, "read before invalidate"
        return bytes(self.host.memory.read(self.device_address, self.size))


class SimulatedRegisters:
    """The registers, as ``pynq.MMIO`` has them."""

    def __init__(self, host: Host) -> None:
        self.read, self._write, _ = access(host)

    def write(self, address: int, value: int) -> None:
        assert type(value) is int, "pynq.MMIO takes no other"
        self._write(address, value)


def folder() -> Path:
    """Return the folder of the job."""
    return Path(str(cocotb.plusargs["job"]))


@cocotb.test()
async def python_driver(dut: Any) -> None:
    """The file for PYNQ runs the images and writes down what it got and what it was told."""
    sys.path.insert(0, str(folder() / "ip" / "software"))
    from tritone_pynq import Driver, Program

    host = Host(dut)
    await host.reset()
    images = (folder() / "images.bin").read_bytes()
    program = Program.load(str(folder() / "program.bin"))
    addresses = iter((PROGRAM, IMAGES, RESULTS))

    def run() -> tuple[bytes, str]:
        driver = Driver(SimulatedRegisters(host))
        results = driver.run(
            program,
            images,
            COUNT,
            lambda size: SimulatedBuffer(host, next(addresses), size),
            seconds=600,
        )
        # A program of another length than the machine takes stops it.
        driver.write("program_instructions", 0)
        driver.write("control", 1)
        try:
            driver.wait(600)
        except RuntimeError as error:
            return results, str(error)
        return results, "it went on"

    results, message = await bridge(run)()
    (folder() / "python.bin").write_bytes(results)
    (folder() / "python.json").write_text(json.dumps({"stopped": message}))


@cocotb.test()
async def c_driver(dut: Any) -> None:
    """The C driver runs the images and writes down what each call returned."""
    host = Host(dut)
    await host.reset()
    library = ctypes.CDLL(str(folder() / "driver.so"))
    read, write, interrupt = access(host)
    reader = ctypes.CFUNCTYPE(ctypes.c_uint32, ctypes.c_size_t)(lambda address: read(address))
    writer = ctypes.CFUNCTYPE(None, ctypes.c_size_t, ctypes.c_uint32)(
        lambda address, value: write(address, value)
    )
    line = ctypes.CFUNCTYPE(ctypes.c_uint32)(lambda: interrupt())
    file = (folder() / "program.bin").read_bytes()
    program = Program.from_bytes(file)
    host.memory.write(PROGRAM, program.payload)
    host.memory.write(IMAGES, (folder() / "images.bin").read_bytes())

    def run() -> dict[str, int]:
        library.connect(reader, writer, line)
        found = (ctypes.c_uint64 * 32)()
        used = library.exercise(
            file, ctypes.c_size_t(len(file)), PROGRAM, IMAGES, RESULTS, COUNT, found
        )
        names = ("opened", "cut_off", "parsed", "payload_bytes", "misaligned", "no_images")
        names += ("started", "barriers_at_start", "again", "waited", "barriers", "cycles", "silent")
        names += ("started_loud", "running", "done", "raised", "lowered", "still_done")
        names += ("bad_started", "stopped", "error")
        assert used == len(names)
        return dict(zip(names, found[:used], strict=True))

    returned = await bridge(run)()
    size = COUNT * program.metadata["result"]["bytes"]
    (folder() / "c.bin").write_bytes(bytes(host.memory.read(RESULTS, size)))
    (folder() / "c.json").write_text(json.dumps(returned))
