# SPDX-License-Identifier: Apache-2.0
"""Unpacks the beats of an image into the words of a feature memory."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, Value
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
        # A word is as many beats as a pixel has, at least one.
        parts = [
            Signal(BEAT_BITS, name=f"part{index}")
            for index in range(self.machine.feature_word_bits // BEAT_BITS)
        ]
        filled = Signal()
        part = Signal(range(max(2, len(parts))))
        pixel = Signal(range(BEAT_BYTES))
        last_part = Signal.like(part)
        last_pixel = Signal.like(pixel)
        with m.Switch(self.pixel_bytes):
            for log2 in range(_BEAT_LOG2):
                with m.Case(log2):
                    m.d.comb += last_pixel.eq((BEAT_BYTES >> log2) - 1)
            for log2 in range(_BEAT_LOG2 + 1, self.machine.rows.bit_length()):
                with m.Case(log2):
                    m.d.comb += last_part.eq((1 << (log2 - _BEAT_LOG2)) - 1)
        m.d.comb += self.words.p.data.eq(Cat(self._pixel(m, parts[0], pixel), *parts[1:]))

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
            with m.If(pixel == last_pixel):
                m.d.sync += [pixel.eq(0), filled.eq(0)]
        with m.If(given):
            for index, each in enumerate(parts):
                with m.If(part == index):
                    m.d.sync += each.eq(self.beats.payload)
                with m.Elif(part == 0):
                    m.d.sync += each.eq(0)
            m.d.sync += [part.eq(part + 1), filled.eq(0)]
            with m.If(part == last_part):
                m.d.sync += [part.eq(0), filled.eq(1)]
        with m.If(self.load):
            m.d.sync += [part.eq(0), pixel.eq(0), filled.eq(0)]
        return m

    def _pixel(self, m: Module, beat: Value, pixel: Value) -> Value:
        """Return the bytes of ``pixel`` in ``beat``, from the lowest on, behind them zeros.

        The beat stands still: a byte of the pixel comes from as many places as there are pixels
        that have it.
        """
        first = Signal(range(BEAT_BYTES))  # byte of the beat that is the pixel's lowest
        size = self.pixel_bytes
        m.d.comb += first.eq((pixel << size)[: len(first)])
        octets = []
        for octet in range(BEAT_BYTES):
            # Pixels that have this byte begin at multiples of their size, the least one above it.
            log2 = octet.bit_length()
            places = Cat(
                beat.word_select(begin + octet, STREAM.bits)
                for begin in range(0, BEAT_BYTES, 1 << log2)
            )
            found = places.word_select(first[log2:], STREAM.bits) if log2 < _BEAT_LOG2 else places
            octets.append(Mux(size >= log2, found, 0) if octet else found)
        return Cat(octets)
