# SPDX-License-Identifier: Apache-2.0
"""The host and its memory: registers by name, external memory that can stall and fail."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator
from typing import Any

from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, First, RisingEdge, Timer
from cocotb.utils import get_sim_time
from cocotbext.axi import AxiBus, AxiLiteBus, AxiLiteMaster, AxiRamRead, AxiRamWrite
from cocotbext.axi.memory import Memory

from tritone.spec.axi import BURST_BEATS, PAGE_BYTES, Burst
from tritone.spec.machine import BEAT_BYTES
from tritone.spec.regmap import Control, register
from tritone_sim.job import Direction, Fault, Stall

__all__ = ["CLOCK_NS", "ExternalMemory", "HeldChannel", "Host", "check_burst"]

CLOCK_NS = 10
_RESET_CYCLES = 4
_ADDRESS_BITS = 32

# What the machine must hold while it waits, for each channel that it drives.
_PAYLOADS = {
    "aw": ("awaddr", "awlen", "awsize", "awburst", "awid"),
    "w": ("wdata", "wstrb", "wlast"),
    "ar": ("araddr", "arlen", "arsize", "arburst", "arid"),
}


class _BusError(Exception):
    """Makes cocotbext-axi answer with SLVERR."""


class _Write(AxiRamWrite):
    fault: Fault | None = None

    async def _write(self, address: int, data: bytes) -> None:
        if self.fault is not None and self.fault.hits(address, len(data)):
            raise _BusError
        await super()._write(address, data)


class _Read(AxiRamRead):
    fault: Fault | None = None

    async def _read(self, address: int, length: int) -> bytes:
        if self.fault is not None and self.fault.hits(address, length):
            raise _BusError
        return await super()._read(address, length)


class ExternalMemory(Memory):
    """AxiRam whose regions can answer with an error.

    Its channels check on their own that bursts keep within 4 KiB and that the last beat is marked.
    """

    def __init__(self, dut: Any) -> None:
        super().__init__(size=1 << _ADDRESS_BITS)
        bus = AxiBus.from_prefix(dut, "m_axi")
        self.write_if = _Write(bus.write, dut.clk, dut.rst, mem=self.mem)
        self.read_if = _Read(bus.read, dut.clk, dut.rst, mem=self.mem)

    @property
    def channels(self) -> list[Any]:
        """The five channels."""
        return [
            self.write_if.aw_channel,
            self.write_if.w_channel,
            self.write_if.b_channel,
            self.read_if.ar_channel,
            self.read_if.r_channel,
        ]

    def set_fault(self, fault: Fault | None) -> None:
        """Answer accesses to the region with an error from now on; None: none."""
        self.write_if.fault = fault if fault and fault.direction is Direction.WRITE else None
        self.read_if.fault = fault if fault and fault.direction is Direction.READ else None


class HeldChannel:
    """Checks that what is valid stays valid and unchanged until it is taken (AMBA AXI, A3.2.1).

    Parameters
    ----------
    name : of the channel, for the message.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._held: tuple[int, ...] | None = None

    def observe(self, valid: bool, ready: bool, payload: tuple[int, ...]) -> None:
        """Take in one clock edge; raise ValueError if it breaks the rule."""
        if self._held is not None and (not valid or payload != self._held):
            raise ValueError(
                f"AXI channel {self.name} must hold {self._held} until it is taken, "
                f"not {payload if valid else 'fall'}"
            )
        self._held = payload if valid and not ready else None

    def forget(self) -> None:
        """Expect nothing of the next clock edge."""
        self._held = None


def check_burst(address: int, beats: int, kind: int) -> None:
    """Raise ValueError if the machine may not ask for such a burst.

    Parameters
    ----------
    address : of the first byte.
    beats : in it, of 64 bits.
    kind : AxBURST.
    """
    if kind != Burst.INCR:
        raise ValueError(f"AXI burst must be INCR, not {Burst(kind).name}")
    if beats > BURST_BEATS:
        raise ValueError(f"AXI burst must be of at most {BURST_BEATS} beats, not {beats}")
    if address % PAGE_BYTES + beats * BEAT_BYTES > PAGE_BYTES:
        raise ValueError(
            f"AXI burst must end in its page of {PAGE_BYTES} bytes, "
            f"not be {beats} beats from 0x{address:x} on"
        )


class Host:
    """The processor beside the machine: clock, reset, registers, memory, interrupt.

    Parameters
    ----------
    dut : the top module.
    """

    # What memory holds that the machine has not written.
    POISON = b"\xa5"

    def __init__(self, dut: Any) -> None:
        self.dut = dut
        for name in ("s_axil", "m_axi"):
            # A read or write that we make fail on purpose is logged as a warning.
            logging.getLogger(f"cocotb.{dut._name}.{name}").setLevel(logging.ERROR)
        dut.rst.value = 1
        Clock(dut.clk, CLOCK_NS, "ns").start()
        self.registers = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axil"), dut.clk, dut.rst)
        self.memory = ExternalMemory(dut)
        self.write_backs: list[int] = []
        self.open_reads = 0
        self._released_ns = 0

    @property
    def cycle(self) -> int:
        """Clock cycles since reset was released."""
        return round(get_sim_time("ns") - self._released_ns) // CLOCK_NS

    async def reset(self) -> None:
        """Reset the machine and everything on its buses."""
        self.dut.rst.value = 1
        await ClockCycles(self.dut.clk, _RESET_CYCLES)
        self.dut.rst.value = 0
        self._released_ns = round(get_sim_time("ns"))
        await ClockCycles(self.dut.clk, _RESET_CYCLES)

    async def read(self, name: str) -> int:
        """Return the register of that name."""
        return int(await self.registers.read_dword(register(name).address))

    async def read_wide(self, name: str) -> int:
        """Return the register pair ``name``_low, ``name``_high."""
        return await self.read(f"{name}_low") | await self.read(f"{name}_high") << 32

    async def write(self, name: str, value: int) -> None:
        """Write the register of that name."""
        await self.registers.write_dword(register(name).address, value)

    async def start(self, *, dump: bool) -> None:
        """Start the machine with the interrupt enabled."""
        control = Control.START | Control.INTERRUPT_ENABLE
        await self.write("control", control | Control.DUMP if dump else control)
        # The interrupt of the run before falls one cycle behind the response to this write.
        await ClockCycles(self.dut.clk, 2)

    async def wait(self, cycles: int) -> bool:
        """Return whether the interrupt came within so many cycles."""
        if not int(self.dut.interrupt.value):
            await First(RisingEdge(self.dut.interrupt), Timer(cycles * CLOCK_NS, "ns"))
        return bool(int(self.dut.interrupt.value))

    def stall(self, stall: Stall | None) -> None:
        """Pause channels of the buses at random; None: let them run."""
        lite = self.registers
        channels = [
            *self.memory.channels,  # in the order of Channel
            lite.write_if.aw_channel,
            lite.write_if.w_channel,
            lite.write_if.b_channel,
            lite.read_if.ar_channel,
            lite.read_if.r_channel,
        ]
        for number, channel in enumerate(channels):
            paused = stall is not None and stall.only in (None, number)
            channel.set_pause_generator(_pauses(stall, number) if stall and paused else None)
            # Without a generator a channel keeps the last pause for ever.
            channel.pause = False

    async def time_write_backs(self, strobe: Any) -> None:
        """Append the cycle of every rising edge of ``strobe`` to ``write_backs``."""
        while True:
            await RisingEdge(strobe)
            self.write_backs.append(self.cycle)

    async def watch(self) -> None:
        """Check at every clock edge that the machine keeps its side of the bus; count reads."""
        dut = self.dut
        watched = [
            (
                HeldChannel(channel),
                getattr(dut, f"m_axi_{channel}valid"),
                getattr(dut, f"m_axi_{channel}ready"),
                [getattr(dut, f"m_axi_{name}") for name in names],
            )
            for channel, names in _PAYLOADS.items()
        ]
        open_reads = self.open_reads = 0
        while True:
            await RisingEdge(dut.clk)
            if int(dut.rst.value):
                # Reset drops what waits and what is open, on both sides.
                for channel, *_ in watched:
                    channel.forget()
                open_reads = 0
                continue
            for channel, valid, ready, payload in watched:
                values = tuple(int(signal.value) for signal in payload)
                offered, taken = bool(int(valid.value)), bool(int(ready.value))
                channel.observe(offered, taken, values)
                if offered and taken and channel.name in ("aw", "ar"):
                    address, length, _size, kind, _identifier = values
                    check_burst(address, length + 1, kind)
                    open_reads += channel.name == "ar"
            if int(dut.m_axi_rvalid.value) and int(dut.m_axi_rready.value):
                open_reads -= int(dut.m_axi_rlast.value)
            self.open_reads = max(self.open_reads, open_reads)


def _pauses(stall: Stall, number: int) -> Iterator[bool]:
    generator = random.Random(f"{stall.seed}/{number}")
    while True:
        yield generator.random() < stall.probability
