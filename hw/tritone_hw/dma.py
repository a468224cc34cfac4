# SPDX-License-Identifier: Apache-2.0
"""Transfers between external memory and the memories on the chip."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream
from amaranth.lib.data import StructLayout
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from tritone.spec.axi import ADDRESS_BITS
from tritone.spec.isa import LOAD, MemoryId
from tritone.spec.machine import BEAT_BITS, MachineConfig
from tritone_hw.axi import AXI
from tritone_hw.axi_reader import AxiReader
from tritone_hw.axi_writer import AxiWriter
from tritone_hw.layout import (
    MEMORY_WRITE,
    feature_read_layout,
    feature_write_layout,
    record_layout,
)
from tritone_hw.memory_loader import MemoryLoader
from tritone_hw.pixel_unpacker import PixelUnpacker
from tritone_hw.region_streamer import RegionStreamer
from tritone_hw.region_walker import REGION
from tritone_hw.skid_buffer import SkidBuffer
from tritone_hw.window_gatherer import GATHER_FIELDS, PIXEL_BITS, WindowGatherer

__all__ = ["LOAD_FIELDS", "LOAD_REQUEST", "STORE_REQUEST", "Dma"]

_LOAD = record_layout(LOAD)

# What LOAD says, with the address in external memory and with a destination more: the program.
LOAD_FIELDS = ("memory", "words", "beats", "table", "pixel_bytes", "kernel", *GATHER_FIELDS)
LOAD_REQUEST = StructLayout(
    {"source": ADDRESS_BITS, "program": 1} | {name: _LOAD[name].shape for name in LOAD_FIELDS}
)

STORE_REQUEST = StructLayout({"target": ADDRESS_BITS, "region": REGION})


class Dma(Component):
    """One transfer in and one transfer out at a time, independent of each other.

    A transfer that meets a bus error ends early: its outstanding beats are drained, nothing is left
    half open, and the next one may start.

    Timing: a transfer begins in the cycle behind its acceptance, in which its request holds still:
    so neither what decides on it nor a copy of it stands before all that it sets.

    Parameters
    ----------
    machine : shape of the machine.

    Members
    -------
    load : what to read and where to put it, beats at least 1; ready when no load is under way.
    loading : high from the cycle behind a request until the one behind the last word's write.
    store : what to write; ready when no store is under way.
    storing : high from the cycle behind a request until the one behind the last response.
    store_end : external address behind the last store.
    read_error, write_error : for one cycle, before ``loading`` or ``storing`` falls.
    read_beat, write_beat : high in each cycle with a beat on the bus.
    program_write : beats of the program, in order; always taken.
    memory_write : beats of weight and parameter words.
    feature_write : words of pixels or of windows.
    feature_read : requests for words; ``feature_data`` comes with ``feature_data_valid``.
    bus : AXI4 manager.
    """

    def __init__(self, machine: MachineConfig) -> None:
        self.machine = machine
        super().__init__(
            {
                "load": In(stream.Signature(LOAD_REQUEST)),
                "loading": Out(1),
                "store": In(stream.Signature(STORE_REQUEST)),
                "storing": Out(1),
                "store_end": Out(ADDRESS_BITS),
                "read_error": Out(1),
                "write_error": Out(1),
                "read_beat": Out(1),
                "write_beat": Out(1),
                "program_write": Out(stream.Signature(BEAT_BITS, always_ready=True)),
                "memory_write": Out(stream.Signature(MEMORY_WRITE)),
                "feature_write": Out(stream.Signature(feature_write_layout(machine))),
                "feature_read": Out(stream.Signature(feature_read_layout(machine))),
                "feature_data": In(machine.feature_word_bits),
                "feature_data_valid": In(1),
                "bus": Out(AXI),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        self._load(m)
        self._store(m)
        return m

    def _load(self, m: Module) -> None:
        """Read beats and hand them to the memory that the request names."""
        m.submodules.reader = reader = AxiReader()
        m.submodules.loader = loader = MemoryLoader(self.machine)
        m.submodules.unpacker = unpacker = PixelUnpacker(self.machine)
        connect(m, reader.bus, flipped(self.bus.read))
        connect(m, loader.writes, flipped(self.memory_write))
        m.submodules.gatherer = gatherer = WindowGatherer(self.machine)
        # What keeps pixels waiting is known late: it does not reach the bus in the same cycle.
        m.submodules.skid = skid = SkidBuffer(BEAT_BITS)
        connect(m, skid.sink, unpacker.beats)

        request, words = self.load.p, self.feature_write
        accepted = Signal()
        begin = Signal()
        working = Signal()
        program = Signal()
        memory = Signal(request.memory.shape())
        pixel_bytes = Signal(request.pixel_bytes.shape())
        windows = Signal()
        m.d.comb += [
            self.load.ready.eq(~self.loading),
            accepted.eq(self.load.valid & self.load.ready),
            working.eq(
                reader.busy | skid.full | unpacker.busy | gatherer.busy | self.feature_write.valid
            ),
            reader.request.valid.eq(begin),
            reader.request.p.address.eq(request.source),
            reader.request.p.beats.eq(request.beats),
            self.read_error.eq(reader.error),
            self.read_beat.eq(reader.beat),
            loader.load.eq(begin),
            loader.memory.eq(memory),
            loader.address.eq(request.address),
            loader.words.eq(request.words),
            loader.table.eq(request.table),
            unpacker.load.eq(begin),
            unpacker.pixel_bytes.eq(pixel_bytes),
            unpacker.region.group.eq(request.memory == MemoryId.FEATURE_1),
            unpacker.region.base.eq(request.address),
            unpacker.region.width.eq(request.width),
            unpacker.region.rows.eq(request.rows),
            unpacker.region.row_words.eq(request.row_words),
            gatherer.load.eq(begin & (request.kernel != 0)),
            gatherer.gather.group.eq(unpacker.region.group),
        ]
        m.d.comb += [gatherer.gather[name].eq(request[name]) for name in GATHER_FIELDS]
        # A register: what waits for the end of a load is told a cycle late.
        m.d.sync += [begin.eq(accepted), self.loading.eq(accepted | begin | working)]
        with m.If(begin):
            m.d.sync += [
                program.eq(request.program),
                memory.eq(request.memory),
                pixel_bytes.eq(request.pixel_bytes),
                windows.eq(request.kernel != 0),
            ]

        # Pixels go to memory as they come, or through their windows. What goes is chosen in one
        # cycle and written in the next; what a layer keeps waiting is known late, too.
        pixels = unpacker.words
        m.submodules.written = written = SkidBuffer(words.payload.shape())
        connect(m, written.sink, flipped(self.feature_write))
        words = written.source
        room = Signal()
        m.d.comb += [
            room.eq(~words.valid | words.ready),
            gatherer.pixels.payload.eq(pixels.p.data[:PIXEL_BITS]),
            gatherer.pixels.valid.eq(pixels.valid & windows),
            gatherer.words.ready.eq(room),
            pixels.ready.eq(Mux(windows, gatherer.pixels.ready, room)),
        ]
        with m.If(room):
            m.d.sync += [
                words.valid.eq(Mux(windows, gatherer.words.valid, pixels.valid)),
                words.payload.eq(Mux(windows, gatherer.words.payload, pixels.payload)),
            ]

        features = (memory == MemoryId.FEATURE_0) | (memory == MemoryId.FEATURE_1)
        m.d.comb += [
            self.program_write.payload.eq(reader.data.payload),
            loader.beats.payload.eq(reader.data.payload),
            skid.source.payload.eq(reader.data.payload),
        ]
        with m.If(program):
            m.d.comb += [
                self.program_write.valid.eq(reader.data.valid),
                reader.data.ready.eq(1),
            ]
        with m.Elif(features):
            m.d.comb += [
                skid.source.valid.eq(reader.data.valid),
                reader.data.ready.eq(skid.source.ready),
            ]
        with m.Else():
            m.d.comb += [
                loader.beats.valid.eq(reader.data.valid),
                reader.data.ready.eq(loader.beats.ready),
            ]

    def _store(self, m: Module) -> None:
        """Read a region and write its beats."""
        m.submodules.writer = writer = AxiWriter()
        m.submodules.streamer = streamer = RegionStreamer(self.machine)
        connect(m, writer.bus, flipped(self.bus.write))
        connect(m, streamer.beats, writer.data)
        connect(m, streamer.read, flipped(self.feature_read))

        begin = Signal()
        accepted = self.store.valid & self.store.ready
        m.d.sync += [
            begin.eq(accepted),
            self.storing.eq(accepted | begin | writer.busy),
        ]
        m.d.comb += [
            self.store.ready.eq(~self.storing),
            writer.request.valid.eq(begin),
            writer.request.payload.eq(self.store.p.target),
            self.store_end.eq(writer.next_address),
            self.write_error.eq(writer.error),
            self.write_beat.eq(writer.beat),
            streamer.load.eq(begin),
            streamer.region.eq(self.store.p.region),
            streamer.data.eq(self.feature_data),
            streamer.data_valid.eq(self.feature_data_valid),
        ]
