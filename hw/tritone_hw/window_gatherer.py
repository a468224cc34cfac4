# SPDX-License-Identifier: Apache-2.0
"""Turns the pixels of an image into the words of their 3x3 windows."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Shape, Signal
from amaranth.lib import stream
from amaranth.lib.data import StructLayout
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out

from tritone.spec.fixed import STREAM
from tritone.spec.isa import LOAD, MAX_WINDOW_CHANNELS, WINDOW_KERNEL
from tritone.spec.machine import MachineConfig
from tritone_hw.feature_memory import bank_index, bank_word
from tritone_hw.layout import NO_COLLISIONS, feature_write_layout, record_layout

__all__ = ["GATHER", "GATHER_FIELDS", "PIXEL_BITS", "WindowGatherer"]

_LOAD = record_layout(LOAD)
_TAPS = WINDOW_KERNEL * WINDOW_KERNEL

# A pixel as it goes through the lines and windows.
PIXEL_BITS = MAX_WINDOW_CHANNELS * STREAM.bits

# What LOAD says of windows; ``address`` is the first word.
GATHER_FIELDS = (
    "address",
    "width",
    "rows",
    "row_words",
    "channels",
    "stride",
    "pad_top",
    "pad_left",
    "pad_code",
    "across",
    "down",
    "plane_words",
)
# The largest value of each.
_LAST = {name: (1 << Shape.cast(_LOAD[name].shape).width) - 1 for name in GATHER_FIELDS}
GATHER = StructLayout({"group": 1} | {name: _LOAD[name].shape for name in GATHER_FIELDS})


class WindowGatherer(Component):
    """Pixels in raster order through two lines and a window of 3x3, whose bytes become words.

    Pixels behind the ``down`` rows are not taken. What is left of a region that got too few pixels
    is not written.

    Timing: a position of the padded image a cycle, and a cycle more for each word of a window but
    the first; a window's first word is offered in the cycle behind its last pixel.

    Parameters
    ----------
    machine : shape of the machine; ``gather_width`` is the length of the lines.

    Members
    -------
    load : takes over ``gather`` and drops what is left of the image before.
    gather : across, down, width and rows at least 1, channels in 1..MAX_WINDOW_CHANNELS.
    pixels : the image, its channels in the lowest bytes.
    words : feature memory words.
    busy : a word waits to be taken, or there is padding to go through.
    """

    def __init__(self, machine: MachineConfig) -> None:
        self.machine = machine
        super().__init__(
            {
                "load": In(1),
                "gather": In(GATHER),
                "pixels": In(stream.Signature(PIXEL_BITS)),
                "words": Out(stream.Signature(feature_write_layout(machine))),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        gather = Signal(GATHER)
        active = Signal()
        x = Signal(_LOAD["across"].shape)
        y = Signal(_LOAD["down"].shape)
        line_end = Signal()
        inside = Signal()
        window_ends = Signal()
        # A window ends in this column, in this row; its row begins with it.
        column_ends = Signal()
        row_ends = Signal()
        first = Signal()
        # Whether the position is the last one of its line, and in the image: known a position
        # ahead, because what waits for transfers looks at it.
        column_inside = Signal()
        row_inside = Signal()
        last_but_one = Signal.like(x)
        # Behind the last column and row of the image.
        right = Signal(range(_LAST["pad_left"] + _LAST["width"] + 1))
        bottom = Signal(range(_LAST["pad_top"] + _LAST["rows"] + 1))
        m.d.comb += [
            inside.eq(column_inside & row_inside),
            window_ends.eq(column_ends & row_ends),
        ]

        # A position goes by as soon as the window of the one before it has been written.
        filled = Signal()
        last_word = Signal()
        shift = Signal()
        taken = Signal()
        pixel = Signal(PIXEL_BITS)
        free = ~filled | (taken & last_word)
        padding = Cat(gather.pad_code for _ in range(MAX_WINDOW_CHANNELS))
        m.d.comb += [
            shift.eq(active & free & (~inside | self.pixels.valid)),
            self.pixels.ready.eq(active & free & inside),
            pixel.eq(Mux(inside, self.pixels.payload, padding)),
            self.words.valid.eq(filled),
            taken.eq(filled & self.words.ready),
            self.busy.eq(filled | (active & ~inside)),
        ]
        with m.If(taken & last_word):
            m.d.sync += filled.eq(0)
        # Windows of stride 2 end at even columns and rows, as the first one does.
        with m.If(shift):
            next_x = Mux(line_end, 0, x + 1)
            m.d.sync += [
                x.eq(next_x),
                first.eq(~line_end & (x == WINDOW_KERNEL - 2)),
                column_ends.eq(
                    ~line_end & (x >= WINDOW_KERNEL - 2) & ((gather.stride == 1) | x[0])
                ),
                filled.eq(window_ends),
                line_end.eq(Mux(line_end, gather.across == 1, x == last_but_one)),
                column_inside.eq((next_x >= gather.pad_left) & (next_x < right)),
            ]
            with m.If(line_end):
                m.d.sync += [
                    y.eq(y + 1),
                    row_ends.eq((y >= WINDOW_KERNEL - 2) & ((gather.stride == 1) | y[0])),
                    row_inside.eq((y + 1 >= gather.pad_top) & (y + 1 < bottom)),
                ]
                with m.If(y + 1 == gather.down):
                    m.d.sync += active.eq(0)

        window = self._window(m, x, line_end, shift, pixel)
        self._give(m, gather, window, taken, last_word)
        self._place(m, gather, first, shift & window_ends, taken, last_word)
        with m.If(self.load):
            m.d.sync += [
                gather.eq(self.gather),
                active.eq(1),
                x.eq(0),
                y.eq(0),
                column_ends.eq(0),
                row_ends.eq(0),
                first.eq(0),
                filled.eq(0),
                line_end.eq(self.gather.across == 1),
                column_inside.eq(self.gather.pad_left == 0),
                row_inside.eq(self.gather.pad_top == 0),
                last_but_one.eq(self.gather.across - 2),
                right.eq(self.gather.pad_left + self.gather.width),
                bottom.eq(self.gather.pad_top + self.gather.rows),
            ]
        return m

    def _window(
        self, m: Module, x: Signal, line_end: Signal, shift: Signal, pixel: Signal
    ) -> list[Signal]:
        """Return the 9 pixels of the window, row by row; the two rows above stand in the lines."""
        above = WINDOW_KERNEL - 1
        m.submodules.lines = lines = Memory(
            shape=above * PIXEL_BITS,
            depth=self.machine.gather_width,
            init=[],
            attrs=NO_COLLISIONS,
        )
        read_port, write_port = lines.read_port(), lines.write_port()
        # The column of the next position is read while this one goes by: the same one only in an
        # image of one column, which has no window.
        m.d.comb += [
            read_port.addr.eq(Mux(shift, Mux(line_end, 0, x + 1), x)),
            write_port.addr.eq(x),
            write_port.en.eq(shift),
            write_port.data.eq(Cat(read_port.data[PIXEL_BITS:], pixel)),
        ]
        window = [Signal(PIXEL_BITS, name=f"tap{tap}") for tap in range(_TAPS)]
        with m.If(shift):
            for row in range(WINDOW_KERNEL):
                taps = window[row * WINDOW_KERNEL : (row + 1) * WINDOW_KERNEL]
                entering = read_port.data.word_select(row, PIXEL_BITS) if row < above else pixel
                m.d.sync += [
                    tap.eq(following)
                    for tap, following in zip(taps, [*taps[1:], entering], strict=True)
                ]
        return window

    def _give(
        self, m: Module, gather: Signal, window: list[Signal], taken: Signal, last_word: Signal
    ) -> None:
        """Offer the words of the window: of each tap the channels that count."""
        bits = self.machine.feature_word_bits
        most = -(-_TAPS * PIXEL_BITS // bits)
        word = Signal(range(max(2, most)))
        packed = Signal(most * bits)
        last = Signal.like(word)
        with m.Switch(gather.channels):
            for channels in range(1, MAX_WINDOW_CHANNELS + 1):
                with m.Case(channels):
                    used = Cat(tap[: channels * STREAM.bits] for tap in window)
                    m.d.comb += [packed.eq(used), last.eq(-(-len(used) // bits) - 1)]
        following = Signal.like(word)
        m.d.comb += [
            self.words.p.data.eq(packed.word_select(word, bits)),
            following.eq(word),
        ]
        with m.If(taken):
            m.d.comb += following.eq(Mux(last_word, 0, word + 1))
        with m.If(self.load):
            m.d.comb += following.eq(0)
        # A register, since positions wait for the last word; there is none in the first cycles.
        m.d.sync += [word.eq(following), last_word.eq(following == last)]

    def _place(
        self,
        m: Module,
        gather: Signal,
        first: Signal,
        gathered: Signal,
        taken: Signal,
        last_word: Signal,
    ) -> None:
        """Say where the words go: output pixel after output pixel, row after row."""
        machine, place = self.machine, self.words.p
        output = Signal(_LOAD["across"].shape)
        row = Signal(place.address.shape())
        next_row = Signal.like(row)
        plane = Signal.like(row)
        m.d.comb += [
            place.group.eq(gather.group),
            place.bank.eq(bank_index(machine, output)),
            place.address.eq(row + plane + bank_word(machine, output)),
        ]
        with m.If(taken):
            m.d.sync += plane.eq(Mux(last_word, Const(0), plane + gather.plane_words))
        with m.If(gathered):
            m.d.sync += output.eq(output + 1)
            with m.If(first):
                m.d.sync += [
                    output.eq(0),
                    row.eq(next_row),
                    next_row.eq(next_row + gather.row_words),
                ]
        with m.If(self.load):
            m.d.sync += [next_row.eq(self.gather.address), plane.eq(0)]
