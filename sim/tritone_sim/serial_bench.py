# SPDX-License-Identifier: Apache-2.0
"""The bench inside the simulator that puts a design's serial line on a terminal of this computer.

``tritone_sim.serial_board`` starts it and ends it.
"""

from __future__ import annotations

import os
import tty
from pathlib import Path
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, FallingEdge, Timer

from tritone.spec.storage import write_atomically

__all__ = ["PORT_FILE", "STOP_FILE", "serve"]

# What the bench writes once the line is there, and what makes it end, in the folder of the job.
PORT_FILE = "port"
STOP_FILE = "stop"

_CLOCK_NS = 10
_RESET_CYCLES = 4
# How long the design runs between two looks at an idle terminal.
_IDLE_CYCLES = 1000
_DATA_BITS = 8


@cocotb.test()
async def serve(dut: Any) -> None:
    """Carry bytes between the terminal and the line, until told to stop or left alone.

    Plusargs: ``folder`` and ``divisor``, the cycles of a bit.
    """
    folder = Path(str(cocotb.plusargs["folder"]))
    bit_ns = int(cocotb.plusargs["divisor"]) * _CLOCK_NS
    parent = os.getppid()
    dut.rx.value = 1
    dut.rst.value = 1
    Clock(dut.clk, _CLOCK_NS, "ns").start()
    await ClockCycles(dut.clk, _RESET_CYCLES)
    dut.rst.value = 0

    # The host's end stays open here, or reading the other one would fail between two hosts.
    line, host = os.openpty()
    tty.setraw(host)
    os.set_blocking(line, False)
    sending = cocotb.start_soon(_send(dut, line, bit_ns))
    write_atomically(folder / PORT_FILE, os.ttyname(host).encode())
    while not (folder / STOP_FILE).exists() and os.getppid() == parent:
        for byte in _received(line):
            await _drive(dut, byte, bit_ns)
        await Timer(_IDLE_CYCLES * _CLOCK_NS, "ns")
    sending.cancel()
    os.close(line)
    os.close(host)


def _received(line: int) -> bytes:
    """Return what the host has written."""
    try:
        return os.read(line, 1 << 16)
    except BlockingIOError:
        return b""


async def _drive(dut: Any, byte: int, bit_ns: int) -> None:
    """Put a byte on the design's input: a start bit, the lowest bit first, a stop bit."""
    for bit in (0, *(byte >> place & 1 for place in range(_DATA_BITS)), 1):
        dut.rx.value = bit
        await Timer(bit_ns, "ns")


async def _send(dut: Any, line: int, bit_ns: int) -> None:
    """Give the host the bytes of the design's output."""
    while True:
        if int(dut.tx.value):
            await FallingEdge(dut.tx)
        await Timer(bit_ns // 2, "ns")
        byte = 0
        for place in range(_DATA_BITS):
            await Timer(bit_ns, "ns")
            byte |= int(dut.tx.value) << place
        await Timer(bit_ns, "ns")
        if not int(dut.tx.value):
            raise ValueError("Serial line must end each byte with a stop bit, not stay low")
        while os.write(line, bytes([byte])) != 1:
            await Timer(bit_ns, "ns")
