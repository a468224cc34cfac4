# SPDX-License-Identifier: Apache-2.0
"""From nibbles of a codebook to what the lanes of the array do with their activations."""

from __future__ import annotations

from amaranth import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import In, Out

from tritone.spec.fixed import NIBBLE_BITS
from tritone_hw.layout import TABLE, TERM

__all__ = ["LookupUnit"]


class LookupUnit(wiring.Component):
    """The entries of a lookup table that nibbles select.

    It stands in the way of the weights into their memory: 16 nibbles, those of a beat, rather than
    the R * C that the array reads in a cycle.

    Timing: combinational.

    Parameters
    ----------
    lanes : nibbles looked up at once.

    Members
    -------
    table : In(TABLE)
        A TERM_CODE for each nibble.
    nibbles : In(ArrayLayout(4, lanes))
        What to translate.
    terms : Out(ArrayLayout(TERM, lanes))
        ``table[nibble]`` for each of them.
    """

    def __init__(self, lanes: int) -> None:
        if not isinstance(lanes, int) or isinstance(lanes, bool):
            raise TypeError(f"Lanes must be an integer, not {lanes!r}")
        if lanes < 1:
            raise ValueError(f"Lanes must be a positive number, not {lanes}")
        super().__init__(
            {
                "table": In(TABLE),
                "nibbles": In(ArrayLayout(NIBBLE_BITS, lanes)),
                "terms": Out(ArrayLayout(TERM, lanes)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # A word of all entries for each bit of a term: selecting a bit of it simulates far faster
        # than selecting an entry of the table.
        planes = []
        for bit in range(NIBBLE_BITS):
            plane = Signal(len(self.table), name=f"plane{bit}")
            m.d.comb += plane.eq(Cat(entry[bit] for entry in self.table))
            planes.append(plane)
        for nibble, term in zip(self.nibbles, self.terms, strict=True):
            m.d.comb += term.eq(Cat(plane.bit_select(nibble, 1) for plane in planes))
        return m
