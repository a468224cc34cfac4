# SPDX-License-Identifier: Apache-2.0
"""On-chip memory that is loaded from external memory beat by beat and read word by word."""

from __future__ import annotations

from amaranth import Cat, Module, Value
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from tritone.spec.machine import BEAT_BITS
from tritone_hw.layout import MEMORY_WRITE, NO_COLLISIONS
from tritone_hw.platform.target import form_for

__all__ = ["LoadableMemory"]


class LoadableMemory(wiring.Component):
    """Memory of wide words, written a beat at a time.

    A wide word lies in many block memories all over a device, and the way from one register to all
    of them would be the longest of the machine. So a memory can be made of slices, which have
    registers of their own for the address and for what is written.

    Timing: a beat is written in the cycle that takes it, with slices in the next one, at once into
    its place in the word, so that no wide register gathers them; never stalls. A word is at
    ``word`` ``latency`` cycles after its address. Reading a word while it is loaded gives a
    mixture, or anything.

    Parameters
    ----------
    word_bits : width of a word, a multiple of the 64 bits of a beat.
    depth : words.
    slice_beats : beats of a word that share registers; None has none.

    Members
    -------
    write : In(stream.Signature(MEMORY_WRITE, always_ready=True))
        Beats, the least significant of a word first; ``memory`` is not looked at.
    address : In(ceil_log2(depth))
        What to read.
    word : Out(word_bits)
        What stood there.
    """

    def __init__(self, word_bits: int, depth: int, slice_beats: int | None = None) -> None:
        numbers = [("Word width", word_bits), ("Depth", depth)]
        if slice_beats is not None:
            numbers.append(("Slice", slice_beats))
        for thing, value in numbers:
            if not isinstance(value, int) or isinstance(value, bool):
                raise TypeError(f"{thing} must be an integer, not {value!r}")
        if word_bits < BEAT_BITS or word_bits % BEAT_BITS:
            raise ValueError(
                f"Word width must be a positive multiple of {BEAT_BITS}, not {word_bits}"
            )
        if depth < 2:
            raise ValueError(f"Depth must be at least 2 words, not {depth}")
        if slice_beats is not None and slice_beats < 1:
            raise ValueError(f"Slice must be a positive number of beats, not {slice_beats}")
        self._word_bits = word_bits
        self._depth = depth
        self._slice_beats = slice_beats
        super().__init__(
            {
                "write": In(stream.Signature(MEMORY_WRITE, always_ready=True)),
                "address": In(ceil_log2(depth)),
                "word": Out(word_bits),
            }
        )

    @property
    def word_bits(self) -> int:
        """Width of a word."""
        return self._word_bits

    @property
    def depth(self) -> int:
        """Words."""
        return self._depth

    @property
    def latency(self) -> int:
        """Cycles from ``address`` to ``word``."""
        return 1 if self._slice_beats is None else 2

    def elaborate(self, platform: object) -> Module:
        m = Module()
        beats = self._word_bits // BEAT_BITS
        step = beats if self._slice_beats is None else self._slice_beats
        form = form_for(platform)

        def near(value: Value, name: str) -> Value:
            return value if self._slice_beats is None else form.copy(m, value, name)

        beat = self.write.payload
        words = []
        for first in range(0, beats, step):
            held = range(first, min(first + step, beats))
            memory = Memory(
                shape=len(held) * BEAT_BITS, depth=self._depth, init=[], attrs=NO_COLLISIONS
            )
            m.submodules[f"memory{first}" if first else "memory"] = memory
            read = memory.read_port()
            write = memory.write_port(granularity=BEAT_BITS)
            taken = Cat(self.write.valid & (beat.beat == index) for index in held)
            data = near(beat.data, f"data{first}")
            m.d.comb += [
                read.addr.eq(near(self.address, f"address{first}")),
                write.addr.eq(near(beat.address, f"written{first}")),
                write.data.eq(data.replicate(len(held))),
                write.en.eq(near(taken, f"taken{first}")),
            ]
            words.append(read.data)
        m.d.comb += self.word.eq(Cat(words))
        return m
