# SPDX-License-Identifier: Apache-2.0
"""Hands beats to the words of an on-chip memory."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out

from tritone.spec.fixed import NIBBLE_BITS
from tritone.spec.isa import LOAD, MemoryId
from tritone.spec.machine import BEAT_BITS, MachineConfig
from tritone.spec.packing import TERMS
from tritone_hw.layout import MEMORY_WRITE, TABLE, record_layout
from tritone_hw.lookup_unit import LookupUnit

__all__ = ["MemoryLoader", "word_beats"]

_LOAD = record_layout(LOAD)


def word_beats(machine: MachineConfig) -> dict[MemoryId, int]:
    """Return the beats of a word of each memory that is loaded by words."""
    beats = {
        MemoryId.WEIGHT: -(-machine.weight_word_bits // BEAT_BITS),
        MemoryId.PARAMETER: -(-machine.parameter_word_bits // BEAT_BITS),
    }
    if machine.packing:
        beats[MemoryId.TERMS] = -(-TERMS.bits // BEAT_BITS)
    return beats


class MemoryLoader(Component):
    """Counts the beats of words and the words of a memory; beats behind the last word are dropped.

    Nibbles of weights are looked up on their way.

    Timing: combinational from ``beats`` to ``writes``; never stalls but for weights until their
    table is there, ``LookupUnit.CYCLES`` cycles behind ``load``.

    Parameters
    ----------
    machine : gives the widths of the memories.

    Members
    -------
    load : takes over ``address`` and ``words``, the first word and how many, and ``table``.
    memory : holds still from the cycle behind ``load`` on.
    beats : what the bus delivers.
    writes : the beats with their places.
    """

    def __init__(self, machine: MachineConfig) -> None:
        self.machine = machine
        super().__init__(
            {
                "load": In(1),
                "memory": In(_LOAD["memory"].shape),
                "address": In(_LOAD["address"].shape),
                "words": In(_LOAD["words"].shape),
                "table": In(TABLE),
                "beats": In(stream.Signature(BEAT_BITS)),
                "writes": Out(stream.Signature(MEMORY_WRITE)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        address = Signal.like(self.address)
        words_left = Signal.like(self.words)
        beat = Signal(MEMORY_WRITE["beat"].shape)
        last_beat = Signal.like(beat)
        with m.Switch(self.memory):
            for memory, beats in word_beats(self.machine).items():
                with m.Case(memory):
                    m.d.comb += last_beat.eq(beats - 1)

        m.submodules.lookup = lookup = LookupUnit(BEAT_BITS // NIBBLE_BITS)
        write = self.writes.p
        weights = self.memory == MemoryId.WEIGHT
        wanted = Signal()  # words are left
        allowed = Signal()
        m.d.comb += [
            allowed.eq(lookup.ready | ~weights),
            lookup.load.eq(self.load),
            write.memory.eq(self.memory),
            write.address.eq(address),
            write.beat.eq(beat),
            write.last.eq(beat == last_beat),
            lookup.table.eq(self.table),
            lookup.nibbles.eq(self.beats.payload),
            write.data.eq(Mux(weights, lookup.codes.as_value(), self.beats.payload)),
            self.writes.valid.eq(self.beats.valid & wanted & allowed),
            self.beats.ready.eq((self.writes.ready & allowed) | ~wanted),
        ]
        with m.If(self.load):
            m.d.sync += [
                address.eq(self.address),
                words_left.eq(self.words),
                wanted.eq(self.words != 0),
                beat.eq(0),
            ]
        with m.Elif(self.writes.valid & self.writes.ready):
            m.d.sync += beat.eq(beat + 1)
            with m.If(write.last):
                m.d.sync += [
                    beat.eq(0),
                    address.eq(address + 1),
                    words_left.eq(words_left - 1),
                    wanted.eq(words_left != 1),
                ]
        return m
