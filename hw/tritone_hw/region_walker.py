# SPDX-License-Identifier: Apache-2.0
"""Walks over the pixels of a region of a feature memory."""

from __future__ import annotations

from amaranth.hdl import Module, Signal
from amaranth.lib.data import StructLayout
from amaranth.lib.wiring import Component, In, Out

from tritone.spec.isa import STORE
from tritone.spec.machine import MachineConfig
from tritone_hw.feature_memory import bank_index, bank_word
from tritone_hw.layout import feature_read_layout, record_layout

__all__ = ["REGION", "REGION_FIELDS", "RegionWalker"]

_STORE = record_layout(STORE)
REGION_FIELDS = ("group", "base", "width", "rows", "row_words")
REGION = StructLayout({name: _STORE[name].shape for name in REGION_FIELDS})


class RegionWalker(Component):
    """Gives the place of each pixel of a region, row by row.

    Parameters
    ----------
    machine : shape of the machine.

    Members
    -------
    load : takes over ``region`` and stands at its first pixel from the next cycle on.
    region : width and rows at least 1.
    advance : go on to the next pixel.
    place : group, bank and word of the pixel.
    inside : high while there is a pixel; low before the first region and behind the last pixel.
    last : the pixel is the last one.
    """

    def __init__(self, machine: MachineConfig) -> None:
        self.machine = machine
        super().__init__(
            {
                "load": In(1),
                "region": In(REGION),
                "advance": In(1),
                "place": Out(feature_read_layout(machine)),
                "inside": Out(1),
                "last": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        region = Signal(REGION)
        x = Signal(region.width.shape())
        rows_left = Signal(region.rows.shape())
        row_word = Signal(self.machine.feature_address_bits)
        row_end = Signal()
        following = (x + 1)[: len(x)]

        m.d.comb += [
            self.place.group.eq(region.group),
            self.place.bank.eq(bank_index(self.machine, x)),
            self.place.address.eq(row_word + bank_word(self.machine, x)),
            row_end.eq(following == region.width),
            self.last.eq(row_end & (rows_left == 1)),
        ]
        with m.If(self.load):
            m.d.sync += [
                region.eq(self.region),
                x.eq(0),
                rows_left.eq(self.region.rows),
                row_word.eq(self.region.base),
                self.inside.eq(1),
            ]
        with m.Elif(self.advance & self.inside):
            m.d.sync += x.eq(following)
            with m.If(row_end):
                m.d.sync += [
                    x.eq(0),
                    rows_left.eq(rows_left - 1),
                    row_word.eq(row_word + region.row_words),
                ]
            with m.If(self.last):
                m.d.sync += self.inside.eq(0)
        return m
