# SPDX-License-Identifier: Apache-2.0
"""Reads a run of beats from external memory in bursts."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import stream
from amaranth.lib.data import StructLayout
from amaranth.lib.wiring import Component, In, Out

from tritone.spec.axi import ADDRESS_BITS, BURST_BEATS, CACHE_NORMAL, PROTECTION, Burst
from tritone.spec.machine import BEAT_BITS, BEAT_BYTES
from tritone_hw.axi import AXI_READ

__all__ = ["READ_BEATS_BITS", "READ_REQUEST", "AxiReader"]

READ_BEATS_BITS = 24
READ_REQUEST = StructLayout({"address": ADDRESS_BITS, "beats": READ_BEATS_BITS})

_OFFSET_BITS = BEAT_BYTES.bit_length() - 1
_SPAN_BITS = BURST_BEATS.bit_length() - 1


class AxiReader(Component):
    """AXI4 read manager: INCR bursts of 64-bit beats that end at multiples of BURST_BEATS.

    Requests for bursts run ahead of the data. Data pass from the bus to ``data`` in the same cycle;
    back-pressure on ``data`` is back-pressure on the bus. After an error response no further burst
    is requested, and the beats still to come are taken and dropped.

    Members
    -------
    request : byte address (its lowest 3 bits are ignored) and beats, at least 1; ready when idle.
    busy : high from the cycle behind the request until the cycle behind the last beat.
    error : for one cycle, the one behind the first beat with an error response; at least a cycle
        before ``busy`` falls.
    beat : high in each cycle in which a beat is taken from the bus.
    data : the beats in order.
    bus : AXI4 read channels.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "request": In(stream.Signature(READ_REQUEST)),
                "busy": Out(1),
                "error": Out(1),
                "beat": Out(1),
                "data": Out(stream.Signature(BEAT_BITS)),
                "bus": Out(AXI_READ),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        bus = self.bus
        next_beat = Signal(ADDRESS_BITS - _OFFSET_BITS)
        to_request = Signal(READ_BEATS_BITS)
        to_receive = Signal(READ_BEATS_BITS)
        receiving = Signal()  # there are some
        failed = Signal()

        m.d.comb += [
            bus.arid.eq(0),
            bus.arsize.eq(_OFFSET_BITS),
            bus.arburst.eq(Burst.INCR),
            bus.arcache.eq(CACHE_NORMAL),
            bus.arprot.eq(PROTECTION),
            self.request.ready.eq(~self.busy),
        ]
        # Beats of the next burst, 0 if there is none: a cycle behind what it follows from, which
        # changes only while the one before it waits on the bus.
        span = Signal(range(BURST_BEATS + 1))
        burst = Signal(range(BURST_BEATS + 1))
        m.d.comb += span.eq(BURST_BEATS - next_beat[:_SPAN_BITS])
        m.d.sync += burst.eq(Mux(to_request < span, to_request, span))
        with m.If(self.request.valid & self.request.ready):
            m.d.sync += [
                self.busy.eq(1),
                burst.eq(0),
                failed.eq(0),
                next_beat.eq(self.request.p.address[_OFFSET_BITS:]),
                to_request.eq(self.request.p.beats),
            ]

        issue = Signal()
        m.d.comb += issue.eq(~bus.arvalid & (burst != 0) & ~failed)
        with m.If(bus.arvalid & bus.arready):
            m.d.sync += bus.arvalid.eq(0)
        with m.If(issue):
            m.d.sync += [
                bus.arvalid.eq(1),
                bus.araddr.eq(Cat(Const(0, _OFFSET_BITS), next_beat)),
                bus.arlen.eq(burst - 1),
                next_beat.eq(next_beat + burst),
                to_request.eq(to_request - burst),
            ]

        refused = failed | bus.rresp[1]
        m.d.comb += [
            self.data.payload.eq(bus.rdata),
            self.data.valid.eq(bus.rvalid & receiving & ~refused),
            bus.rready.eq(receiving & (self.data.ready | refused)),
            self.beat.eq(bus.rvalid & bus.rready),
        ]
        m.d.sync += self.error.eq(self.beat & bus.rresp[1] & ~failed)
        with m.If(self.beat & bus.rresp[1]):
            m.d.sync += failed.eq(1)
        more = Signal(signed(len(burst) + 1))
        m.d.comb += more.eq(Mux(issue, burst, 0) - self.beat)
        m.d.sync += to_receive.eq(to_receive + more)
        with m.If(issue):
            m.d.sync += receiving.eq(1)
        with m.Elif(self.beat):
            m.d.sync += receiving.eq(to_receive != 1)

        with m.If(self.busy & ~receiving & ((to_request == 0) | failed)):
            m.d.sync += self.busy.eq(0)
        return m
