# SPDX-License-Identifier: Apache-2.0
"""Writes a stream of beats to external memory in bursts."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import stream
from amaranth.lib.data import StructLayout
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import Component, In, Out

from tritone.spec.axi import ADDRESS_BITS, BURST_BEATS, CACHE_NORMAL, PROTECTION, Burst
from tritone.spec.machine import BEAT_BITS, BEAT_BYTES
from tritone_hw.axi import AXI_WRITE

__all__ = ["WRITE_BEAT", "AxiWriter"]

WRITE_BEAT = StructLayout({"data": BEAT_BITS, "last": 1})

_OFFSET_BITS = BEAT_BYTES.bit_length() - 1
_SPAN_BITS = BURST_BEATS.bit_length() - 1

# Bursts whose response is still to come. Two hide the latency of a memory; more need no more gates.
_RESPONSES = 15


class AxiWriter(Component):
    """AXI4 write manager: INCR bursts of 64-bit beats that end at multiples of BURST_BEATS.

    The number of beats need not be known in advance: a burst starts when all of its beats are here,
    so its data never wait for the source. Address and data of a burst are offered at the same time;
    neither waits for the other. After an error response no further burst starts, and the rest of
    the beats is taken and dropped.

    Members
    -------
    request : byte address (its lowest 3 bits are ignored); ready when idle.
    busy : high from the cycle behind the request until the cycle behind the last response.
    error : for one cycle when a burst is answered with an error; before ``busy`` falls.
    beat : high in each cycle in which the bus takes a beat.
    next_address : byte address behind the last burst.
    data : the beats in order, the last one marked; ready only while busy.
    bus : AXI4 write channels.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "request": In(stream.Signature(ADDRESS_BITS)),
                "busy": Out(1),
                "error": Out(1),
                "beat": Out(1),
                "next_address": Out(ADDRESS_BITS),
                "data": In(stream.Signature(WRITE_BEAT)),
                "bus": Out(AXI_WRITE),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        bus = self.bus
        m.submodules.queue = queue = SyncFIFOBuffered(width=BEAT_BITS, depth=2 * BURST_BEATS)
        # Beats in the queue, and beats to where bursts end: registers, and so is what they say of
        # the next burst, for what decides on it is long enough.
        level = Signal(range(2 * BURST_BEATS + 1))
        span = Signal(range(BURST_BEATS + 1), init=BURST_BEATS)
        whole = Signal()  # a burst up to where it must end
        some = Signal()  # any beats
        next_level = Signal.like(level)
        next_span = Signal.like(span)
        m.d.comb += [
            next_level.eq(level + (queue.w_en & queue.w_rdy) - (queue.r_en & queue.r_rdy)),
            next_span.eq(span),
        ]
        m.d.sync += [
            level.eq(next_level),
            span.eq(next_span),
            whole.eq(next_level >= next_span),
            some.eq(next_level != 0),
        ]
        next_beat = Signal(ADDRESS_BITS - _OFFSET_BITS)
        ended = Signal()
        failed = Signal()
        to_send = Signal(range(BURST_BEATS + 1))
        sending = Signal()  # there are some
        responses = Signal(range(_RESPONSES + 1))

        m.d.comb += [
            bus.awid.eq(0),
            bus.awsize.eq(_OFFSET_BITS),
            bus.awburst.eq(Burst.INCR),
            bus.awcache.eq(CACHE_NORMAL),
            bus.awprot.eq(PROTECTION),
            self.next_address.eq(Cat(Const(0, _OFFSET_BITS), next_beat)),
            self.request.ready.eq(~self.busy),
        ]
        with m.If(self.request.valid & self.request.ready):
            m.d.sync += [
                self.busy.eq(1),
                ended.eq(0),
                failed.eq(0),
                next_beat.eq(self.request.payload[_OFFSET_BITS:]),
            ]
            # There are no beats yet, and so no whole burst of them.
            m.d.sync += span.eq(BURST_BEATS - self.request.payload[_OFFSET_BITS:][:_SPAN_BITS])

        accepting = self.busy & ~ended
        m.d.comb += [
            queue.w_data.eq(self.data.p.data),
            queue.w_en.eq(self.data.valid & accepting),
            self.data.ready.eq(queue.w_rdy & accepting),
        ]
        with m.If(self.data.valid & self.data.ready & self.data.p.last):
            m.d.sync += ended.eq(1)

        burst = Signal(range(BURST_BEATS + 1))
        start = Signal()
        m.d.comb += start.eq(
            ~sending & ~bus.awvalid & ~failed & (responses != _RESPONSES) & (whole | (ended & some))
        )
        with m.If(whole):
            m.d.comb += burst.eq(span)
        with m.Else():
            m.d.comb += burst.eq(level)

        with m.If(start):
            m.d.sync += [
                bus.awvalid.eq(1),
                bus.awaddr.eq(self.next_address),
                bus.awlen.eq(burst - 1),
                next_beat.eq(next_beat + burst),
                to_send.eq(burst),
                sending.eq(1),
            ]
            m.d.comb += next_span.eq(BURST_BEATS)  # behind a shorter burst nothing follows
        with m.If(bus.awvalid & bus.awready):
            m.d.sync += bus.awvalid.eq(0)

        m.d.comb += [
            bus.wdata.eq(queue.r_data),
            bus.wstrb.eq(~0),
            bus.wlast.eq(to_send == 1),
            bus.wvalid.eq(sending & queue.r_rdy),
            self.beat.eq(bus.wvalid & bus.wready),
            queue.r_en.eq(self.beat | (failed & ~sending)),
        ]
        with m.If(self.beat):
            m.d.sync += [to_send.eq(to_send - 1), sending.eq(to_send != 1)]

        answered = Signal()
        m.d.comb += [
            bus.bready.eq(responses != 0),
            answered.eq(bus.bvalid & bus.bready),
            self.error.eq(answered & bus.bresp[1] & ~failed),
        ]
        with m.If(self.error):
            m.d.sync += failed.eq(1)
        m.d.sync += responses.eq(responses + start - answered)

        # A burst that is answered has been taken whole.
        with m.If(self.busy & ended & ~some & (responses == 0)):
            m.d.sync += self.busy.eq(0)
        return m
