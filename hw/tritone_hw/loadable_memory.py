# SPDX-License-Identifier: Apache-2.0
"""On-chip memory that is loaded from external memory beat by beat and read word by word."""

from __future__ import annotations

from amaranth import Module
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from tritone.spec.machine import BEAT_BITS
from tritone_hw.layout import MEMORY_WRITE, NO_COLLISIONS

__all__ = ["LoadableMemory"]


class LoadableMemory(wiring.Component):
    """Memory of wide words, written a beat at a time.

    Timing: a beat is written in the cycle that takes it, at once into its place in the word, so
    that no wide register gathers them; never stalls. A word is at ``word`` the cycle after its
    address. Reading a word while it is loaded gives a mixture, or anything.

    Parameters
    ----------
    word_bits : width of a word, a multiple of the 64 bits of a beat.
    depth : words.

    Attributes
    ----------
    LATENCY : cycles from ``address`` to ``word``.

    Members
    -------
    write : In(stream.Signature(MEMORY_WRITE, always_ready=True))
        Beats, the least significant of a word first; ``memory`` is not looked at.
    address : In(ceil_log2(depth))
        What to read.
    word : Out(word_bits)
        What stood there.
    """

    LATENCY = 1

    def __init__(self, word_bits: int, depth: int) -> None:
        for thing, value in (("Word width", word_bits), ("Depth", depth)):
            if not isinstance(value, int) or isinstance(value, bool):
                raise TypeError(f"{thing} must be an integer, not {value!r}")
        if word_bits < BEAT_BITS or word_bits % BEAT_BITS:
            raise ValueError(
                f"Word width must be a positive multiple of {BEAT_BITS}, not {word_bits}"
            )
        if depth < 2:
            raise ValueError(f"Depth must be at least 2 words, not {depth}")
        self._word_bits = word_bits
        self._depth = depth
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

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.memory = memory = Memory(
            shape=self._word_bits, depth=self._depth, init=[], attrs=NO_COLLISIONS
        )
        read = memory.read_port()
        write = memory.write_port(granularity=BEAT_BITS)
        beat = self.write.payload
        m.d.comb += [
            read.addr.eq(self.address),
            self.word.eq(read.data),
            write.addr.eq(beat.address),
            write.data.eq(beat.data.replicate(self._word_bits // BEAT_BITS)),
        ]
        with m.If(self.write.valid):
            for index in range(self._word_bits // BEAT_BITS):
                m.d.comb += write.en[index].eq(beat.beat == index)
        return m
