# SPDX-License-Identifier: Apache-2.0
"""From a header and beats to the bytes of a frame (``tritone.spec.host_link``)."""

from __future__ import annotations

from amaranth.hdl import Module, Signal
from amaranth.lib import stream
from amaranth.lib.crc.catalog import CRC32_ISO_HDLC
from amaranth.lib.wiring import Component, In, Out

from tritone.spec import host_link
from tritone.spec.host_link import CRC_BYTES, END, ESCAPE, ESCAPED
from tritone.spec.machine import BEAT_BITS, BEAT_BYTES
from tritone_hw.layout import record_layout

__all__ = ["FrameEncoder"]


class FrameEncoder(Component):
    """Sends a frame for each header: as many beats as that says, then the CRC.

    Timing: a byte whenever the line takes one, with a cycle between two.

    Members
    -------
    header : In(stream)
        Ready between frames.
    beats : In(stream)
        Data, taken within a frame.
    data : Out(stream)
        Bytes for the line.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "header": In(stream.Signature(record_layout(host_link.HEADER))),
                "beats": In(stream.Signature(BEAT_BITS)),
                "data": Out(stream.Signature(8)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.checksum = checksum = CRC32_ISO_HDLC(8).create()
        word = Signal(BEAT_BITS)
        left = Signal(range(BEAT_BYTES + 1))
        beats = Signal(host_link.HEADER.fields[2].bits)
        closing = Signal()
        second, special = Signal(8), Signal()
        with m.Switch(word[:8]):
            for plain, code in ESCAPED.items():
                with m.Case(plain):
                    m.d.comb += [second.eq(code), special.eq(1)]
        m.d.comb += checksum.data.eq(word[:8])

        def shift() -> None:
            """Go on behind a byte that the line takes in this cycle."""
            m.d.comb += checksum.valid.eq(1)
            m.d.sync += [word.eq(word >> 8), left.eq(left - 1)]
            m.next = "byte"

        with m.FSM():
            with m.State("idle"):
                m.d.comb += [self.header.ready.eq(1), checksum.start.eq(1)]
                with m.If(self.header.valid):
                    m.d.sync += [
                        word.eq(self.header.payload),
                        left.eq(BEAT_BYTES),
                        beats.eq(self.header.p.beats),
                        closing.eq(0),
                    ]
                    m.next = "open"
            with m.State("open"):
                m.d.comb += [self.data.payload.eq(END), self.data.valid.eq(1)]
                with m.If(self.data.ready):
                    m.next = "byte"
            with m.State("byte"):
                with m.If(left != 0):
                    m.d.comb += self.data.valid.eq(1)
                    with m.If(special):
                        m.d.comb += self.data.payload.eq(ESCAPE)
                    with m.Else():
                        m.d.comb += self.data.payload.eq(word[:8])
                    with m.If(self.data.ready):
                        with m.If(special):
                            m.next = "escaped"
                        with m.Else():
                            shift()
                with m.Elif(closing):
                    m.next = "close"
                with m.Elif(beats == 0):
                    m.d.sync += [word.eq(checksum.crc), left.eq(CRC_BYTES), closing.eq(1)]
                with m.Else():
                    m.d.comb += self.beats.ready.eq(1)
                    with m.If(self.beats.valid):
                        m.d.sync += [
                            word.eq(self.beats.payload),
                            left.eq(BEAT_BYTES),
                            beats.eq(beats - 1),
                        ]
            with m.State("escaped"):
                m.d.comb += [self.data.payload.eq(second), self.data.valid.eq(1)]
                with m.If(self.data.ready):
                    shift()
            with m.State("close"):
                m.d.comb += [self.data.payload.eq(END), self.data.valid.eq(1)]
                with m.If(self.data.ready):
                    m.next = "idle"
        return m
