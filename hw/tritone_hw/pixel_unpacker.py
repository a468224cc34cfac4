# SPDX-License-Identifier: Apache-2.0
"""Unpacks the beats of an image into the words of a feature memory."""

from __future__ import annotations

from amaranth.hdl import Module, Signal
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out

from tritone.spec.fixed import STREAM
from tritone.spec.isa import LOAD
from tritone.spec.machine import BEAT_BITS, BEAT_BYTES, MachineConfig
from tritone_hw.layout import feature_write_layout, record_layout
from tritone_hw.region_walker import REGION, RegionWalker

__all__ = ["PixelUnpacker"]

_BEAT_LOG2 = BEAT_BYTES.bit_length() - 1
_PIXEL_BYTES = record_layout(LOAD)["pixel_bytes"].shape


class PixelUnpacker(Component):
    """Packed pixels of ``1 << pixel_bytes`` bytes to words of R bytes at the place of each pixel.

    A beat holds several small pixels or a part of a large one; bytes behind a pixel become 0. Beats
    behind the last pixel are taken and dropped; what is left of a region that got too few beats is
    not written.

    Timing: a pixel or a beat a cycle, whichever are more; a beat's first pixel is offered in the
    cycle behind it.

    Parameters
    ----------
    machine : shape of the machine.

    Members
    -------
    load : takes over ``region`` and drops what is left of the one before.
    pixel_bytes : log2 of the bytes of a pixel; holds still from the cycle behind ``load`` on.
    beats : what the bus delivers.
    words : feature memory words.
    busy : a word waits to be taken.
    """

    def __init__(self, machine: MachineConfig) -> None:
        self.machine = machine
        super().__init__(
            {
                "load": In(1),
                "region": In(REGION),
                "pixel_bytes": In(_PIXEL_BYTES),
                "beats": In(stream.Signature(BEAT_BITS)),
                "words": Out(stream.Signature(feature_write_layout(machine))),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.walker = walker = RegionWalker(self.machine)
        parts = self.machine.feature_word_bits // BEAT_BITS
        word = Signal(self.machine.feature_word_bits)
        filled = Signal()
        part = Signal(range(max(2, parts)))
        pixel = Signal(range(BEAT_BYTES))
        last_part = Signal.like(part)
        last_pixel = Signal.like(pixel)
        data = self.words.p.data

        m.d.comb += data.eq(word)
        with m.Switch(self.pixel_bytes):
            for log2 in range(_BEAT_LOG2):
                with m.Case(log2):
                    m.d.comb += [
                        last_pixel.eq((BEAT_BYTES >> log2) - 1),
                        data.eq(word[: STREAM.bits << log2]),
                    ]
            for log2 in range(_BEAT_LOG2 + 1, self.machine.rows.bit_length()):
                with m.Case(log2):
                    m.d.comb += last_part.eq((1 << (log2 - _BEAT_LOG2)) - 1)

        taken = Signal()
        given = Signal()
        m.d.comb += [
            walker.load.eq(self.load),
            walker.region.eq(self.region),
            walker.advance.eq(taken),
            self.words.p.group.eq(walker.place.group),
            self.words.p.bank.eq(walker.place.bank),
            self.words.p.address.eq(walker.place.address),
            self.words.valid.eq(filled & walker.inside),
            self.busy.eq(self.words.valid),
            taken.eq(self.words.valid & self.words.ready),
            self.beats.ready.eq(~filled | ~walker.inside | (taken & (pixel == last_pixel))),
            given.eq(self.beats.valid & self.beats.ready),
        ]
        with m.If(taken):
            m.d.sync += pixel.eq(pixel + 1)
            with m.Switch(self.pixel_bytes):
                for log2 in range(_BEAT_LOG2):
                    with m.Case(log2):
                        m.d.sync += word.eq(word[:BEAT_BITS] >> (STREAM.bits << log2))
            with m.If(pixel == last_pixel):
                m.d.sync += [pixel.eq(0), filled.eq(0)]
        with m.If(given):
            with m.If(part == 0):
                m.d.sync += word.eq(self.beats.payload)
            with m.Else():
                m.d.sync += word.word_select(part, BEAT_BITS).eq(self.beats.payload)
            m.d.sync += [part.eq(part + 1), filled.eq(0)]
            with m.If(part == last_part):
                m.d.sync += [part.eq(0), filled.eq(1)]
        with m.If(self.load):
            m.d.sync += [part.eq(0), pixel.eq(0), filled.eq(0)]
        return m
