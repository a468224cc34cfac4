# SPDX-License-Identifier: Apache-2.0
"""Streams a region of a feature memory as beats."""

from __future__ import annotations

from amaranth.hdl import Module, Signal
from amaranth.lib import stream
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import Component, In, Out

from tritone.spec.machine import BEAT_BITS, MachineConfig
from tritone_hw.axi_writer import WRITE_BEAT
from tritone_hw.layout import feature_read_layout
from tritone_hw.region_walker import REGION, RegionWalker

__all__ = ["RegionStreamer"]

# Words that are read ahead: a power of two that covers the latency of feature memory and queue.
_AHEAD = 8


class RegionStreamer(Component):
    """Reads the words of a region, row by row, and gives their bytes without gaps.

    Timing: a beat a cycle, as long as the feature memory gives a word every R / 8 cycles.

    Parameters
    ----------
    machine : shape of the machine.

    Members
    -------
    load : takes over ``region`` and begins; the region before it must have ended.
    region : width and rows at least 1.
    read : requests to the feature memory.
    data, data_valid : its answers, in order, any number of cycles later.
    beats : R / 8 beats a pixel, lowest channels first; the region's last beat is marked.
    """

    def __init__(self, machine: MachineConfig) -> None:
        self.machine = machine
        super().__init__(
            {
                "load": In(1),
                "region": In(REGION),
                "read": Out(stream.Signature(feature_read_layout(machine))),
                "data": In(machine.feature_word_bits),
                "data_valid": In(1),
                "beats": Out(stream.Signature(WRITE_BEAT)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        bits = self.machine.feature_word_bits
        m.submodules.walker = walker = RegionWalker(self.machine)
        m.submodules.queue = queue = SyncFIFOBuffered(width=bits, depth=_AHEAD)
        ahead = Signal(range(_AHEAD + 1))  # words requested and not yet given away

        requested = Signal()
        m.d.comb += [
            walker.load.eq(self.load),
            walker.region.eq(self.region),
            self.read.payload.eq(walker.place),
            self.read.valid.eq(walker.inside & (ahead != _AHEAD)),
            requested.eq(self.read.valid & self.read.ready),
            walker.advance.eq(requested),
            queue.w_data.eq(self.data),
            queue.w_en.eq(self.data_valid),
        ]

        parts = bits // BEAT_BITS
        part = Signal(range(max(2, parts)))
        given = Signal()
        word_given = Signal()
        m.d.comb += [
            self.beats.p.data.eq(
                queue.r_data.word_select(part, BEAT_BITS) if parts > 1 else queue.r_data
            ),
            self.beats.p.last.eq(~walker.inside & (ahead == 1) & (part == parts - 1)),
            self.beats.valid.eq(queue.r_rdy),
            given.eq(self.beats.valid & self.beats.ready),
            word_given.eq(given & (part == parts - 1)),
            queue.r_en.eq(word_given),
        ]
        with m.If(given):
            m.d.sync += part.eq(part + 1)
        with m.If(word_given):
            m.d.sync += part.eq(0)
        m.d.sync += ahead.eq(ahead + requested - word_given)
        return m
