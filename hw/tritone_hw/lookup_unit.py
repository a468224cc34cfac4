# SPDX-License-Identifier: Apache-2.0
"""From nibbles of a codebook to what the lanes of the array do with their activations."""

from __future__ import annotations

from typing import ClassVar

from amaranth import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.data import ArrayLayout
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from tritone.spec.fixed import NIBBLE_BITS
from tritone.spec.pass_plan import TABLE_ENTRIES
from tritone_hw.layout import TABLE
from tritone_hw.platform.target import small_memory

__all__ = ["LookupUnit"]


class LookupUnit(wiring.Component):
    """The entries of a lookup table that nibbles select.

    It stands in the way of the weights into their memory: 16 nibbles, those of a beat, rather than
    the R * C that the array reads in a cycle. Each lane has the table in a small memory, which
    takes a tenth of the cells of multiplexers; it is filled an entry a cycle.

    Timing: ``ready`` rises ``CYCLES`` cycles behind ``load``; ``codes`` are combinational.

    Parameters
    ----------
    lanes : nibbles looked up at once.

    Attributes
    ----------
    CYCLES : cycles that a table takes to be there.

    Members
    -------
    load : In(1)
        Strobe: take ``table``; begins anew where one is not there yet.
    table : In(TABLE)
        The code for each nibble.
    ready : Out(1)
        The table is there.
    nibbles : In(ArrayLayout(4, lanes))
        What to translate.
    codes : Out(ArrayLayout(NIBBLE_BITS, lanes))
        ``table[nibble]`` for each of them.
    """

    CYCLES: ClassVar = TABLE_ENTRIES + 1

    def __init__(self, lanes: int) -> None:
        if not isinstance(lanes, int) or isinstance(lanes, bool):
            raise TypeError(f"Lanes must be an integer, not {lanes!r}")
        if lanes < 1:
            raise ValueError(f"Lanes must be a positive number, not {lanes}")
        super().__init__(
            {
                "load": In(1),
                "table": In(TABLE),
                "ready": Out(1, init=1),
                "nibbles": In(ArrayLayout(NIBBLE_BITS, lanes)),
                "codes": Out(ArrayLayout(NIBBLE_BITS, lanes)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        entry = Signal(range(TABLE_ENTRIES))
        left = Signal(TABLE, reset_less=True)  # entries from that one on
        m.submodules.memory = memory = Memory(
            shape=NIBBLE_BITS, depth=TABLE_ENTRIES, init=[], attrs=small_memory(platform)
        )
        write = memory.write_port()
        m.d.comb += [
            write.addr.eq(entry),
            write.data.eq(left[0]),
            write.en.eq(~self.ready),
        ]
        m.d.sync += [
            entry.eq(Mux(self.ready, 0, entry + 1)),
            left.as_value().eq(left.as_value() >> NIBBLE_BITS),
        ]
        with m.If(entry == TABLE_ENTRIES - 1):
            m.d.sync += self.ready.eq(1)
        with m.If(self.load):
            m.d.sync += [self.ready.eq(0), entry.eq(0), left.eq(self.table)]
        for nibble, code in zip(self.nibbles, self.codes, strict=True):
            read = memory.read_port(domain="comb")
            m.d.comb += [read.addr.eq(nibble), code.eq(read.data)]
        return m
