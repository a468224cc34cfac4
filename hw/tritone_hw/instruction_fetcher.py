# SPDX-License-Identifier: Apache-2.0
"""Instruction memory: takes the beats of a program, gives whole instructions."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import stream
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out
from amaranth.utils import ceil_log2

from tritone.spec.isa import INSTRUCTION_BEATS
from tritone.spec.machine import BEAT_BITS, MachineConfig
from tritone_hw.layout import INSTRUCTION, NO_COLLISIONS

__all__ = ["InstructionFetcher"]


class InstructionFetcher(Component):
    """Memory of ``instruction_words`` beats, written in order from its start.

    Timing: ``fetched`` rises CYCLES cycles behind ``fetch``. What is written while an instruction
    is read must not be of that instruction.

    Parameters
    ----------
    machine : gives the depth.

    Members
    -------
    rewind : the next beat of the program is its first one.
    program_write : beats of the program.
    fetch : begin to read the instruction ``index``.
    instruction : the instruction, while ``fetched`` is high; it stays until the next ``fetch``.
    """

    CYCLES = INSTRUCTION_BEATS + 2

    def __init__(self, machine: MachineConfig) -> None:
        self.machine = machine
        self._index_bits = ceil_log2(machine.instruction_words // INSTRUCTION_BEATS)
        super().__init__(
            {
                "rewind": In(1),
                "program_write": In(stream.Signature(BEAT_BITS, always_ready=True)),
                "fetch": In(1),
                "index": In(self._index_bits),
                "instruction": Out(INSTRUCTION),
                "fetched": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        depth = self.machine.instruction_words
        m.submodules.memory = memory = Memory(
            shape=BEAT_BITS, depth=depth, init=[], attrs=NO_COLLISIONS
        )
        write_port = memory.write_port()
        read_port = memory.read_port()

        written = Signal(range(depth))
        m.d.comb += [
            write_port.addr.eq(written),
            write_port.data.eq(self.program_write.payload),
            write_port.en.eq(self.program_write.valid),
        ]
        m.d.sync += written.eq(written + self.program_write.valid)
        with m.If(self.rewind):
            m.d.sync += written.eq(0)

        beat = Signal(range(INSTRUCTION_BEATS))
        index = Signal(self._index_bits)
        reading = Signal()
        arriving = Signal()
        ending = Signal()
        word = self.instruction.as_value()
        m.d.comb += read_port.addr.eq(Cat(beat, index))
        m.d.sync += [
            beat.eq(beat + reading),
            arriving.eq(reading),
            ending.eq(reading & (beat == INSTRUCTION_BEATS - 1)),
        ]
        with m.If(beat == INSTRUCTION_BEATS - 1):
            m.d.sync += reading.eq(0)
        with m.If(arriving):
            m.d.sync += [
                word.eq(Cat(word[BEAT_BITS:], read_port.data)),
                self.fetched.eq(ending),
            ]
        with m.If(self.fetch):
            m.d.sync += [index.eq(self.index), beat.eq(0), reading.eq(1), self.fetched.eq(0)]
        return m
