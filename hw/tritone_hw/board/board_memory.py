# SPDX-License-Identifier: Apache-2.0
"""Memory on the chip that the accelerator's bus reaches, and a host beside it."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out, Signature
from amaranth.utils import ceil_log2

from tritone.spec.axi import Response
from tritone.spec.machine import BEAT_BITS, BEAT_BYTES
from tritone_hw.axi import AXI
from tritone_hw.layout import NO_COLLISIONS

__all__ = ["BoardMemory", "memory_port"]

_OFFSET_BITS = BEAT_BYTES.bit_length() - 1

# Read beats on their way: they hide the cycle of the memory and the one that a host's access takes.
_READ_DEPTH = 4


def memory_port(beats: int) -> Signature:
    """Return the signature of a port to a memory of so many beats, seen from its user.

    ``write`` writes ``write_data`` to the beat ``address``; else ``read_data`` is that beat, the
    cycle behind ``read``. An access takes its cycle whatever else goes on.
    """
    return Signature(
        {
            "address": Out(ceil_log2(beats)),
            "read": Out(1),
            "read_data": In(BEAT_BITS),
            "write": Out(1),
            "write_data": Out(BEAT_BITS),
        }
    )


class BoardMemory(Component):
    """An AXI4 subordinate of block memories, and a port that goes before it.

    Takes what our manager sends: INCR bursts of 64-bit beats, identifier 0. A burst that touches
    addresses behind the memory is answered with SLVERR; reads give 0 there, writes do nothing.

    Timing: a beat a cycle either way, less those that the host takes. A burst is taken when the one
    before it has been read from memory, or answered.

    Parameters
    ----------
    beats : of 64 bits; a power of two.

    Members
    -------
    bus : AXI4 subordinate.
    host : the port.

    Raises
    ------
    ValueError : another number of beats.
    """

    def __init__(self, beats: int) -> None:
        if not isinstance(beats, int) or beats < 2 or beats & (beats - 1):
            raise ValueError(f"Board memory must have a power of two of beats, not {beats!r}")
        self.beats = beats
        super().__init__({"bus": In(AXI), "host": In(memory_port(beats))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.memory = memory = Memory(
            shape=BEAT_BITS, depth=self.beats, init=[], attrs=NO_COLLISIONS
        )
        self._read(m, memory.read_port())
        self._write(m, memory.write_port(granularity=8))
        return m

    def _read(self, m: Module, port: object) -> None:
        """Serve the read channels and the host."""
        bus, host = self.bus.read, self.host
        m.submodules.queue = queue = SyncFIFO(width=BEAT_BITS + 2, depth=_READ_DEPTH)
        beat = Signal(len(bus.araddr) - _OFFSET_BITS)
        left = Signal(9)
        # What is read in this cycle, and what that was in the cycle before.
        issued, reading = Signal(), Signal()
        outside, last = Signal(), Signal()

        m.d.comb += bus.arready.eq(left == 0)
        with m.If(bus.arvalid & bus.arready):
            m.d.sync += [beat.eq(bus.araddr[_OFFSET_BITS:]), left.eq(bus.arlen + 1)]
        m.d.comb += [
            issued.eq((left != 0) & ~host.read & (queue.level + reading < _READ_DEPTH)),
            port.addr.eq(Mux(host.read, host.address, beat)),
            host.read_data.eq(port.data),
        ]
        m.d.sync += reading.eq(issued)
        with m.If(issued):
            m.d.sync += [
                beat.eq(beat + 1),
                left.eq(left - 1),
                outside.eq(beat >= self.beats),
                last.eq(left == 1),
            ]

        m.d.comb += [
            queue.w_en.eq(reading),
            queue.w_data[0].eq(last),
            queue.w_data[1].eq(outside),
            queue.w_data[2:].eq(Mux(outside, 0, port.data)),
            queue.r_en.eq(bus.rready & queue.r_rdy),
            bus.rvalid.eq(queue.r_rdy),
            bus.rlast.eq(queue.r_data[0]),
            bus.rresp.eq(Mux(queue.r_data[1], Response.SLVERR, Response.OKAY)),
            bus.rdata.eq(queue.r_data[2:]),
        ]

    def _write(self, m: Module, port: object) -> None:
        """Serve the write channels and the host."""
        bus, host = self.bus.write, self.host
        beat = Signal(len(bus.awaddr) - _OFFSET_BITS)
        busy, outside = Signal(), Signal()

        m.d.comb += [
            bus.awready.eq(~busy & ~bus.bvalid),
            bus.wready.eq(busy & ~host.write),
            port.addr.eq(Mux(host.write, host.address, beat)),
            port.data.eq(Mux(host.write, host.write_data, bus.wdata)),
        ]
        with m.If(host.write):
            m.d.comb += port.en.eq(~0)
        with m.Elif(bus.wvalid & bus.wready & (beat < self.beats)):
            m.d.comb += port.en.eq(bus.wstrb)

        with m.If(bus.awvalid & bus.awready):
            m.d.sync += [busy.eq(1), outside.eq(0), beat.eq(bus.awaddr[_OFFSET_BITS:])]
        with m.If(bus.bvalid & bus.bready):
            m.d.sync += bus.bvalid.eq(0)
        with m.If(bus.wvalid & bus.wready):
            missed = outside | (beat >= self.beats)
            m.d.sync += [beat.eq(beat + 1), outside.eq(missed)]
            with m.If(bus.wlast):
                m.d.sync += [
                    busy.eq(0),
                    bus.bvalid.eq(1),
                    bus.bresp.eq(Mux(missed, Response.SLVERR, Response.OKAY)),
                ]
