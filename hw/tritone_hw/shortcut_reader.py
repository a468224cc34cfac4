# SPDX-License-Identifier: Apache-2.0
"""Reads what a tile adds to its sums: the codes of the shortcut, less their zero."""

from __future__ import annotations

from amaranth import Array as Choice
from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.data import ArrayLayout, StructLayout
from amaranth.lib.wiring import In, Out

from tritone.spec.fixed import STREAM
from tritone.spec.isa import LAYER
from tritone.spec.machine import MachineConfig
from tritone_hw.feature_memory import FeatureMemory, line_layout
from tritone_hw.layout import record_layout

__all__ = ["ShortcutReader", "shortcut_place_layout"]


def shortcut_place_layout(machine: MachineConfig) -> StructLayout:
    """Return the layout of where the shortcut of a tile lies: one word of all banks.

    At stride 1 its P pixels take the lower or the ``upper`` half of the banks, at stride 2 the even
    ones. Not ``wanted``: nothing is added.
    """
    return StructLayout({"wanted": 1, "address": machine.feature_address_bits, "upper": 1})


class ShortcutReader(wiring.Component):
    """Fetches C channels of P pixels of the shortcut and takes their zero away.

    The group that is written has a read port that a layer needs for nothing else. A tile is read
    before any of its own results is written, so that results may replace the shortcut in place.

    Timing: a tile a cycle, no stalls; ``codes`` stand ``LATENCY`` cycles after ``valid``, until
    those of the next tile replace them. ``layer`` does not change under way.

    Parameters
    ----------
    machine : shape of the machine.

    Attributes
    ----------
    LATENCY : cycles from a request to its codes: memory, choice of the bank, difference.

    Members
    -------
    layer : In(record_layout(LAYER))
        The layer.
    valid : In(1)
        There is a tile.
    place : In(shortcut_place_layout(machine))
        Where its shortcut lies.
    column_group : In(range(R // C)), one bit at least
        Which C of the R channels.
    line : Out(stream.Signature(line_layout(machine), always_ready=True))
        Goes to the feature memory.
    words : In(ArrayLayout(ArrayLayout(8, R), 2P))
        Comes from there.
    codes : Out(ArrayLayout(ArrayLayout(signed(9), C), P))
        Codes less ``shortcut_zero``; 0 if none are wanted.
    """

    LATENCY = 2 + FeatureMemory.WINDOW_LATENCY

    def __init__(self, machine: MachineConfig) -> None:
        if not isinstance(machine, MachineConfig):
            raise TypeError(f"Machine must be a MachineConfig, not {machine!r}")
        self._machine = machine
        rows, columns = machine.rows, machine.columns
        difference = signed(STREAM.bits + 1)
        super().__init__(
            {
                "layer": In(record_layout(LAYER)),
                "valid": In(1),
                "place": In(shortcut_place_layout(machine)),
                # Verilog has no empty vectors.
                "column_group": In(range(max(machine.word_columns, 2))),
                "line": Out(stream.Signature(line_layout(machine), always_ready=True)),
                "words": In(ArrayLayout(ArrayLayout(STREAM.bits, rows), machine.banks)),
                "codes": Out(ArrayLayout(ArrayLayout(difference, columns), machine.pixels)),
            }
        )

    @property
    def machine(self) -> MachineConfig:
        """Shape of the machine."""
        return self._machine

    def elaborate(self, platform: object) -> Module:
        m = Module()
        machine, layer = self._machine, self.layer
        columns, pixels = machine.columns, machine.pixels
        m.d.comb += [
            self.line.valid.eq(self.valid & self.place.wanted),
            self.line.payload.group.eq(layer.out_group),
            self.line.payload.address.eq(self.place.address),
        ]

        # What is chosen travels beside the request.
        choice = Signal(
            StructLayout({"column_group": self.column_group.shape(), "upper": 1, "wanted": 1}),
            reset_less=True,
        )
        later = Signal.like(choice, reset_less=True)
        arriving = Signal(3)
        wanted = Signal(reset_less=True)
        m.d.sync += [
            choice.column_group.eq(self.column_group),
            choice.upper.eq(self.place.upper),
            choice.wanted.eq(self.place.wanted),
            later.eq(choice),
            wanted.eq(later.wanted),
            arriving.eq(Cat(self.valid, arriving)),
        ]

        for pixel in range(pixels):
            word = Mux(
                layer.shortcut_stride,
                self.words[2 * pixel].as_value(),
                Mux(
                    later.upper,
                    self.words[pixels + pixel].as_value(),
                    self.words[pixel].as_value(),
                ),
            )
            width = columns * STREAM.bits
            groups = [word.word_select(group, width) for group in range(machine.word_columns)]
            taken = Signal(ArrayLayout(STREAM.bits, columns), name=f"taken{pixel}", reset_less=True)
            m.d.sync += taken.eq(Choice(groups)[later.column_group])
            with m.If(arriving[-1]):
                for code, difference in zip(taken, self.codes[pixel], strict=True):
                    m.d.sync += difference.eq(code - layer.shortcut_zero)
                # As a reset, which the registers have for nothing.
                with m.If(~wanted):
                    m.d.sync += self.codes[pixel].eq(0)
        return m
