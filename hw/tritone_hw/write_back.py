# SPDX-License-Identifier: Apache-2.0
"""Writes the results of a tile into the feature memory."""

from __future__ import annotations

from amaranth import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.data import ArrayLayout, StructLayout
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from tritone.spec.fixed import LOGIT, STREAM
from tritone.spec.machine import MachineConfig
from tritone_hw.feature_memory import bank_index, bank_word, tile_write_layout

__all__ = ["WriteBack", "destination_layout"]


def destination_layout(machine: MachineConfig) -> StructLayout:
    """Return the layout of where the results of a tile go.

    ``x`` is the stored pixel of the tile's first one, ``row`` the first word of its row,
    ``column_group`` which C of the R channels, ``pixels`` has a bit for each pixel that exists,
    ``end`` marks the layer's last tile.
    """
    return StructLayout(
        {
            "row": machine.feature_address_bits,
            "x": 13,
            "column_group": range(machine.word_columns),
            "pixels": machine.pixels,
            "end": 1,
        }
    )


class WriteBack(wiring.Component):
    """Places C results of P pixels: bytes in P banks, or 16 bits as two bytes in all 2P.

    The first pixel of a tile is a multiple of P in its row (of 2P if wide), so that a tile lies in
    words of one address.

    Timing: no stalls; ``tile`` is written ``LATENCY`` cycles after ``valid``, ``landed`` beside it.

    Parameters
    ----------
    machine : shape of the machine.

    Attributes
    ----------
    LATENCY : cycles from ``valid`` to the write.

    Members
    -------
    group, wide : In(1)
        Feature memory group that is written; results have 16 bits. Constant while a result is
        under way.
    valid : In(1)
        There are results.
    results : In(ArrayLayout(ArrayLayout(16, C), P))
        Results of each pixel.
    destination : In(destination_layout(machine))
        Where they go.
    tile : Out(stream.Signature(tile_write_layout(machine), always_ready=True))
        Goes to the feature memory.
    landed : Out(1)
        Strobe: ``tile`` is the last one of the layer.
    """

    LATENCY = 1

    def __init__(self, machine: MachineConfig) -> None:
        if not isinstance(machine, MachineConfig):
            raise TypeError(f"Machine must be a MachineConfig, not {machine!r}")
        self._machine = machine
        results = ArrayLayout(ArrayLayout(LOGIT.bits, machine.columns), machine.pixels)
        super().__init__(
            {
                "group": In(1),
                "wide": In(1),
                "valid": In(1),
                "results": In(results),
                "destination": In(destination_layout(machine)),
                "tile": Out(stream.Signature(tile_write_layout(machine), always_ready=True)),
                "landed": Out(1),
            }
        )

    @property
    def machine(self) -> MachineConfig:
        """Shape of the machine."""
        return self._machine

    def elaborate(self, platform: object) -> Module:
        m = Module()
        machine, destination, tile = self._machine, self.destination, self.tile.payload
        pixels = machine.pixels

        upper = Signal()  # the tile lies in the upper half of the banks
        m.d.comb += upper.eq(bank_index(machine, destination.x)[ceil_log2(pixels)])
        m.d.sync += [
            self.tile.valid.eq(self.valid),
            self.landed.eq(self.valid & destination.end),
            tile.group.eq(self.group),
            tile.address.eq(destination.row + bank_word(machine, destination.x)),
            tile.column_groups.eq(1 << destination.column_group),
        ]
        for bank in range(machine.banks):
            narrow_pixel, wide_pixel = bank % pixels, bank // 2
            with m.If(self.wide):
                m.d.sync += tile.banks[bank].eq(destination.pixels[wide_pixel])
            with m.Else():
                m.d.sync += tile.banks[bank].eq(
                    destination.pixels[narrow_pixel] & (upper == bank // pixels)
                )
            for column in range(machine.columns):
                low = self.results[narrow_pixel][column][: STREAM.bits]
                byte = self.results[wide_pixel][column].word_select(bank % 2, STREAM.bits)
                with m.If(self.wide):
                    m.d.sync += tile.channels[bank][column].eq(byte)
                with m.Else():
                    m.d.sync += tile.channels[bank][column].eq(low)
        return m
