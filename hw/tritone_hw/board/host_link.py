# SPDX-License-Identifier: Apache-2.0
"""Does what a host's frames ask for: memory and registers (``tritone.spec.host_link``)."""

from __future__ import annotations

from amaranth.hdl import Module, Signal
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from tritone.spec.axi import PROTECTION
from tritone.spec.host_link import IDENTITY, LINK_VERSION, MAX_BEATS, Answer, Operation
from tritone.spec.machine import BEAT_BITS, BEAT_BYTES
from tritone_hw.axi import AXI_LITE
from tritone_hw.board.board_memory import memory_port
from tritone_hw.board.frame_decoder import FrameDecoder
from tritone_hw.board.frame_encoder import FrameEncoder
from tritone_hw.layout import record_layout

__all__ = ["HostLink"]

_OFFSET_BITS = BEAT_BYTES.bit_length() - 1


class HostLink(Component):
    """Takes a frame, does it, answers it; then the next one.

    Timing: the answer begins some cycles behind the frame, for a write twice as many as it has
    beats, for a register those that its bus takes.

    Parameters
    ----------
    memory_beats : of the board's memory, a power of two.
    clock_hz : that the host is told.

    Members
    -------
    received : In(8)
        A byte of the line.
    received_valid : In(1)
        High for one cycle with each.
    sent : Out(stream)
        Bytes for the line.
    memory : Out
        Port of the memory.
    registers : Out
        AXI4-Lite manager.
    active : Out(1)
        High while a frame is answered.
    """

    def __init__(self, memory_beats: int, clock_hz: int) -> None:
        self.memory_beats = memory_beats
        self.clock_hz = clock_hz
        super().__init__(
            {
                "received": In(8),
                "received_valid": In(1),
                "sent": Out(stream.Signature(8)),
                "memory": Out(memory_port(memory_beats)),
                "registers": Out(AXI_LITE),
                "active": Out(1),
            }
        )
        self._decoder = FrameDecoder()
        self._encoder = FrameEncoder()
        # The answer and its beats: those of memory, or what stands in ``held``.
        self._answer = Signal(Answer)
        self._beats = Signal(range(MAX_BEATS + 1))
        self._from_memory = Signal()
        self._held = Signal(2 * BEAT_BITS)
        # The beat that is written or answered.
        self._beat = Signal(range(MAX_BEATS + 1))
        self._damaged = Signal(16)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.decoder = decoder = self._decoder
        m.submodules.encoder = encoder = self._encoder
        connect(m, encoder.data, flipped(self.sent))
        header = decoder.header
        m.d.comb += [
            decoder.data.eq(self.received),
            decoder.data_valid.eq(self.received_valid),
            decoder.index.eq(self._beat),
            self.active.eq(decoder.valid),
            encoder.header.p.code.eq(self._answer),
            encoder.header.p.tag.eq(header.tag),
            encoder.header.p.beats.eq(self._beats),
            encoder.header.p.address.eq(header.address),
            encoder.beats.payload.eq(self._held),
            self.memory.address.eq(header.address[_OFFSET_BITS:] + self._beat),
            self.memory.write_data.eq(decoder.beat),
            self.registers.araddr.eq(header.address),
            self.registers.arprot.eq(PROTECTION),
            self.registers.awaddr.eq(header.address),
            self.registers.awprot.eq(PROTECTION),
            self.registers.wdata.eq(decoder.beat),
            self.registers.wstrb.eq(~0),
        ]
        with m.FSM():
            with m.State("idle"):
                m.d.sync += [
                    self._answer.eq(Answer.OK),
                    self._beats.eq(0),
                    self._beat.eq(0),
                    self._from_memory.eq(0),
                ]
                with m.If(decoder.valid):
                    m.next = "judge"
            with m.State("judge"):
                with m.If(decoder.damaged):
                    m.d.sync += self._damaged.eq(self._damaged + 1)
                    self._refuse(m, Answer.DAMAGED)
                with m.Else():
                    self._judge(m)
            self._write_memory(m)
            self._use_registers(m)
            self._send(m)
        return m

    def _refuse(self, m: Module, why: Answer) -> None:
        m.d.sync += self._answer.eq(why)
        m.next = "answer"

    def _judge(self, m: Module) -> None:
        """Begin the operation of an undamaged frame, or refuse it."""
        header, beats = self._decoder.header, self._decoder.beats
        end = header.address[_OFFSET_BITS:] + header.beats
        inside = (
            (header.beats != 0)
            & (header.beats <= MAX_BEATS)
            & (header.address[:_OFFSET_BITS] == 0)
            & (end <= self.memory_beats)
        )
        register = header.address < 1 << len(self.registers.araddr)
        identity = Signal(record_layout(IDENTITY))
        m.d.comb += [
            identity.version.eq(LINK_VERSION),
            identity.damaged.eq(self._damaged),
            identity.memory_beats.eq(self.memory_beats),
            identity.clock_hz.eq(self.clock_hz),
        ]
        with m.Switch(header.code):
            with m.Case(Operation.IDENTIFY):
                m.d.sync += [
                    self._held.eq(identity),
                    self._beats.eq(IDENTITY.bits // BEAT_BITS),
                ]
                m.next = "answer"
            with m.Case(Operation.READ_MEMORY):
                with m.If(inside):
                    m.d.sync += [self._beats.eq(header.beats), self._from_memory.eq(1)]
                    m.next = "answer"
                with m.Else():
                    self._refuse(m, Answer.OUTSIDE)
            with m.Case(Operation.WRITE_MEMORY):
                with m.If(~inside):
                    self._refuse(m, Answer.OUTSIDE)
                with m.Elif(beats != header.beats):
                    self._refuse(m, Answer.DAMAGED)
                with m.Else():
                    m.next = "fetch"
            with m.Case(Operation.READ_REGISTER):
                with m.If(register):
                    m.d.sync += self.registers.arvalid.eq(1)
                    m.next = "read register"
                with m.Else():
                    self._refuse(m, Answer.REFUSED)
            with m.Case(Operation.WRITE_REGISTER):
                with m.If(beats != 1):
                    self._refuse(m, Answer.DAMAGED)
                with m.Elif(register):
                    m.d.sync += [self.registers.awvalid.eq(1), self.registers.wvalid.eq(1)]
                    m.next = "write register"
                with m.Else():
                    self._refuse(m, Answer.REFUSED)
            with m.Default():
                self._refuse(m, Answer.UNKNOWN)

    def _write_memory(self, m: Module) -> None:
        """States that copy a frame's beats to memory."""
        with m.State("fetch"):  # the cycle of the decoder's memory
            m.next = "store"
        with m.State("store"):
            m.d.comb += self.memory.write.eq(1)
            m.d.sync += self._beat.eq(self._beat + 1)
            m.next = "fetch"
            with m.If(self._beat + 1 == self._decoder.beats):
                m.next = "answer"

    def _use_registers(self, m: Module) -> None:
        """States that wait for the registers' bus."""
        bus = self.registers
        with m.State("read register"):
            with m.If(bus.arready):
                m.d.sync += bus.arvalid.eq(0)
            m.d.comb += bus.rready.eq(1)
            with m.If(bus.rvalid):
                m.d.sync += [self._held.eq(bus.rdata), self._beats.eq(1)]
                m.next = "answer"
                with m.If(bus.rresp[1]):
                    m.d.sync += self._beats.eq(0)
                    self._refuse(m, Answer.REFUSED)
        with m.State("write register"):
            with m.If(bus.awready):
                m.d.sync += bus.awvalid.eq(0)
            with m.If(bus.wready):
                m.d.sync += bus.wvalid.eq(0)
            m.d.comb += bus.bready.eq(1)
            with m.If(bus.bvalid):
                m.next = "answer"
                with m.If(bus.bresp[1]):
                    self._refuse(m, Answer.REFUSED)

    def _send(self, m: Module) -> None:
        """States that send the answer, beat by beat."""
        encoder = self._encoder
        with m.State("answer"):
            m.d.comb += encoder.header.valid.eq(1)
            with m.If(encoder.header.ready):
                m.d.sync += self._beat.eq(0)
                m.next = "next beat"
        with m.State("next beat"):
            with m.If(self._beat == self._beats):
                m.next = "sending"
            with m.Else():
                m.d.comb += self.memory.read.eq(self._from_memory)
                m.next = "beat"
        with m.State("beat"):
            # Kept: the accelerator may read memory in the next cycle.
            with m.If(self._from_memory):
                m.d.sync += self._held.eq(self.memory.read_data)
            m.next = "offer"
        with m.State("offer"):
            m.d.comb += encoder.beats.valid.eq(1)
            with m.If(encoder.beats.ready):
                m.d.sync += [self._beat.eq(self._beat + 1), self._held.eq(self._held >> BEAT_BITS)]
                m.next = "next beat"
        with m.State("sending"), m.If(encoder.header.ready):
            m.d.comb += self._decoder.taken.eq(1)
            m.next = "idle"
