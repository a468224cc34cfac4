# SPDX-License-Identifier: Apache-2.0
"""From the bytes of a line to checked frames (``tritone.spec.host_link``)."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib.crc.catalog import CRC32_ISO_HDLC
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out
from amaranth.utils import ceil_log2

from tritone.spec import host_link
from tritone.spec.host_link import CRC_BYTES, END, ESCAPE, ESCAPED, MAX_BEATS
from tritone.spec.machine import BEAT_BITS, BEAT_BYTES
from tritone_hw.layout import record_layout

__all__ = ["FrameDecoder"]

_MOST_BYTES = (1 + MAX_BEATS) * BEAT_BYTES + CRC_BYTES


class FrameDecoder(Component):
    """Takes bytes, gives frames; holds the data of one.

    A frame stands until it is taken. Bytes that come meanwhile are dropped, and so is the rest of
    what they began, up to the next END.

    Timing: a frame is there the cycle behind its closing END. A beat appears the cycle behind its
    index.

    Members
    -------
    data : In(8)
        The next byte.
    data_valid : In(1)
        High for one cycle with each.
    valid : Out(1)
        A frame has come.
    taken : In(1)
        Forget it.
    damaged : Out(1)
        It is shorter or longer than any frame, ends within a beat, has a wrong escape or CRC.
    header : Out
        Of it.
    beats : Out
        Beats of data that it carries.
    index : In
        Number of one of them.
    beat : Out(64)
        That one.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "data": In(8),
                "data_valid": In(1),
                "valid": Out(1),
                "taken": In(1),
                "damaged": Out(1),
                "header": Out(record_layout(host_link.HEADER)),
                "beats": Out(range(MAX_BEATS + 1)),
                "index": In(ceil_log2(MAX_BEATS)),
                "beat": Out(BEAT_BITS),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.checksum = checksum = CRC32_ISO_HDLC(8).create()
        m.submodules.memory = memory = Memory(shape=BEAT_BITS, depth=MAX_BEATS, init=[])
        writing, reading = memory.write_port(), memory.read_port()
        m.d.comb += [reading.addr.eq(self.index), self.beat.eq(reading.data)]

        count = Signal(range(_MOST_BYTES + 2))
        word = Signal(BEAT_BITS)
        escaped, wrong, lost = Signal(), Signal(), Signal()
        byte = Signal(8)
        known = Signal()
        with m.Switch(self.data):
            for plain, second in ESCAPED.items():
                with m.Case(second):
                    m.d.comb += [byte.eq(plain), known.eq(1)]
        with m.If(~escaped):
            m.d.comb += [byte.eq(self.data), known.eq(1)]

        ends = self.data_valid & (self.data == END)
        escapes = self.data_valid & (self.data == ESCAPE)
        takes = self.data_valid & ~ends & ~escapes & ~self.valid & ~lost
        whole = Cat(word[8:], byte)
        m.d.comb += [
            checksum.data.eq(byte),
            checksum.valid.eq(takes),
            writing.addr.eq(self.beats),
            writing.data.eq(whole),
        ]
        with m.If(takes):
            m.d.sync += [word.eq(whole), escaped.eq(0), wrong.eq(wrong | ~known)]
            # Ends within a beat where there are too many.
            with m.If(count <= _MOST_BYTES):
                m.d.sync += count.eq(count + 1)
            with m.If(count % BEAT_BYTES == BEAT_BYTES - 1):
                with m.If(count < BEAT_BYTES):
                    m.d.sync += self.header.eq(whole)
                with m.Elif(count < _MOST_BYTES - CRC_BYTES):
                    m.d.comb += writing.en.eq(1)
                    m.d.sync += self.beats.eq(self.beats + 1)
        with m.Elif(escapes):
            m.d.sync += [escaped.eq(1), wrong.eq(wrong | escaped)]
        with m.Elif(ends & ~self.valid & ~lost & (count != 0)):
            m.d.sync += [
                self.valid.eq(1),
                self.damaged.eq(
                    wrong
                    | escaped
                    | ~checksum.match_detected
                    | (count < BEAT_BYTES + CRC_BYTES)
                    | (count % BEAT_BYTES != CRC_BYTES)
                ),
            ]

        # Bytes that come while a frame stands belong to one that is lost.
        with m.If(self.data_valid & self.valid):
            m.d.sync += lost.eq(~ends)
        with m.Elif(ends):
            m.d.sync += lost.eq(0)
        with m.If(self.taken | (ends & ~self.valid & (lost | (count == 0)))):
            m.d.comb += checksum.start.eq(1)
            m.d.sync += [
                self.valid.eq(0),
                self.beats.eq(0),
                count.eq(0),
                escaped.eq(0),
                wrong.eq(0),
            ]
        return m
