# SPDX-License-Identifier: Apache-2.0
"""Turns a layer into steps: what to read, which weights, when to drain, where results go."""

from __future__ import annotations

from collections.abc import Mapping

from amaranth import Const, Module, Mux, Signal, Value, signed
from amaranth.hdl import ShapeLike, ValueLike
from amaranth.lib import wiring
from amaranth.lib.data import StructLayout, View
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from tritone.spec.isa import LAYER
from tritone.spec.machine import MachineConfig
from tritone.spec.packing import Packing
from tritone_hw.activation_reader import position_layout
from tritone_hw.feature_memory import bank_index, bank_word
from tritone_hw.layout import PASS_STEPS, record_layout
from tritone_hw.loop_nest import ROUNDS, Loop, LoopNest, RunningSum
from tritone_hw.shortcut_reader import shortcut_place_layout
from tritone_hw.write_back import destination_layout

__all__ = ["WEIGHT_PART", "StepGenerator", "drain_layout", "step_layout"]

# What a step takes of a weight word on a machine that packs them: ``word`` of its words of the
# walk, whose codes stand for what the terms of ``plane`` say.
WEIGHT_PART = StructLayout({"packing": 2, "word": max(Packing).words.bit_length() - 1, "plane": 2})


def drain_layout(machine: MachineConfig) -> StructLayout:
    """Return the layout of what the requantiser does with the sums of a drain.

    ``shift`` in units of 4, ``first`` and ``last`` drain of its tile, ``parameter`` the first
    parameter word, ``shortcut`` what is added.
    """
    return StructLayout(
        {
            "shift": 2,
            "first": 1,
            "last": 1,
            "parameter": machine.parameter_address_bits,
            "shortcut": shortcut_place_layout(machine),
            "destination": destination_layout(machine),
        }
    )


def step_layout(machine: MachineConfig) -> StructLayout:
    """Return the layout of a step.

    ``clear``: it starts new sums; ``drain``: its sums are complete, and ``drained`` says what
    becomes of them. ``column_group``: which C of the R channels a pool takes.
    """
    return StructLayout(
        {
            "clear": 1,
            "drain": 1,
            "position": position_layout(machine),
            "column_group": range(machine.word_columns),
            "drained": drain_layout(machine),
        }
    )


def _shifted_sum(value: Value, factor: Value) -> Value:
    """Return ``value * factor`` as a sum of shifted values, so that no multiplier is inferred."""
    total: Value = Const(0)
    for bit in range(len(factor)):
        total = total + Mux(factor[bit], value << bit, 0)
    return total


class StepGenerator(wiring.Component):
    """The loop nest of CONVOLVE and POOL.

    Timing: the first step comes ``START`` cycles after ``start``, then one each cycle without gaps
    between walks, tiles, rows or groups; only a step with ``drain`` waits until
    ``requantizer_slots`` cycles have passed since the one before it (or since the cycle before the
    first step). ``weight`` and ``part`` belong to the step of ``WEIGHT_LATENCY`` cycles ago.

    Parameters
    ----------
    machine : shape of the machine.

    Attributes
    ----------
    START : cycles from ``start`` to the first step.
    WEIGHT_LATENCY : cycles from a step to its weight address.

    Members
    -------
    start : In(1)
        Strobe; not while steps are under way.
    layer : In(record_layout(LAYER))
        Constant from ``start`` to the last step.
    valid : Out(1)
        There is a step.
    step : Out(step_layout(machine))
        The step.
    weight : Out(machine.weight_address_bits)
        Its weight word.
    part : Out(WEIGHT_PART)
        What it takes of it; only where the machine packs weights.
    """

    START = 2
    WEIGHT_LATENCY = 2

    def __init__(self, machine: MachineConfig) -> None:
        if not isinstance(machine, MachineConfig):
            raise TypeError(f"Machine must be a MachineConfig, not {machine!r}")
        self._machine = machine
        super().__init__(
            {
                "start": In(1),
                "layer": In(record_layout(LAYER)),
                "valid": Out(1),
                "step": Out(step_layout(machine)),
                "weight": Out(machine.weight_address_bits),
            }
            | ({"part": Out(WEIGHT_PART)} if machine.packing else {})
        )

    @property
    def machine(self) -> MachineConfig:
        """Shape of the machine."""
        return self._machine

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.nest = nest = LoopNest()
        pass_step = self._pass_step(m, nest)

        column_group, word_ends = (
            Const(0, 0),
            Const(1),
        )  # of the output: C of the R channels of a word
        if self._machine.word_columns > 1:
            column_group = self._sum(
                m, nest, "column_group", ceil_log2(self._machine.word_columns), 0, {Loop.GROUP: 1}
            )
            word_ends = column_group.all()
        m.d.comb += [
            self.step.column_group.eq(column_group),
            self.step.drained.destination.column_group.eq(column_group),
        ]

        self._set_rounds(m, nest)
        self._pace(m, nest, pass_step)
        self._read(m, nest)
        self._weigh(m, nest, pass_step)
        self._deliver(m, nest, word_ends)
        self._add(m, nest, word_ends)
        return m

    def _pass_step(self, m: Module, nest: LoopNest) -> View:
        """Return what the present pass is: chosen while the one before it is under way."""
        steps = View(PASS_STEPS, self.layer.steps)
        bits = len(self.layer.pass_steps) - 1
        following = self._sum(m, nest, "following_pass", bits, 1, {Loop.PASS: 1})
        present = Signal(PASS_STEPS.elem_shape, name="pass_step", reset_less=True)
        after = Signal(PASS_STEPS.elem_shape, name="next_pass_step")
        m.d.comb += after.eq(present)
        with m.If(nest.start | (nest.step & nest.ending[Loop.PASS])):
            m.d.comb += after.eq(steps[0])
        with m.Elif(nest.step & nest.advance[Loop.PASS]):
            m.d.comb += after.eq(steps[following])
        # Known with the step, for which it may have to wait.
        m.d.sync += [
            present.eq(after),
            self.step.drain.eq(nest.next_ending[Loop.KERNEL_ROW] & after.drain),
        ]
        return present

    @staticmethod
    def _sum(
        m: Module,
        nest: LoopNest,
        name: str,
        shape: ShapeLike,
        initial: ValueLike,
        increments: Mapping[Loop, ValueLike],
    ) -> Value:
        """Return the value of a new running sum over ``increments``, the outermost loop first."""
        m.submodules[name] = total = RunningSum(shape, list(increments))
        m.d.comb += [
            total.start.eq(nest.start),
            total.step.eq(nest.step),
            total.advance.eq(nest.advance),
            total.initial.eq(initial),
        ]
        for index, increment in enumerate(increments.values()):
            m.d.comb += total.increments[index].eq(increment)
        return total.value

    def _set_rounds(self, m: Module, nest: LoopNest) -> None:
        layer = self.layer
        tiles_less_one = (layer.out_width - 1)[
            ceil_log2(self._machine.pixels) : len(layer.out_width)
        ]
        rounds = Signal(ROUNDS, reset_less=True)
        for loop, count in (
            (Loop.CHANNEL, layer.in_channels - 1),
            (Loop.KERNEL_COLUMN, layer.kernel_width - 1),
            (Loop.KERNEL_ROW, layer.kernel_height - 1),
            (Loop.PASS, layer.pass_steps - 1),
            (Loop.TILE, tiles_less_one),
            (Loop.ROW, layer.out_height - 1),
            (Loop.GROUP, layer.out_channels - 1),
        ):
            m.d.sync += rounds[loop.name].eq(count)
        m.d.sync += nest.start.eq(self.start)
        m.d.comb += nest.rounds.eq(rounds)

    def _pace(self, m: Module, nest: LoopNest, pass_step: View) -> None:
        """Decide when there is a step; where sums begin and end."""
        slots, step = self._machine.requantizer_slots, self.step
        running = Signal()
        clear = Signal(reset_less=True)
        first = Signal(reset_less=True)
        wait = Signal(range(slots))  # cycles until a drain may come
        early = Signal()  # there are some
        m.d.comb += [
            step.clear.eq(clear),
            step.position.nibble.eq(pass_step.nibble),
            step.drained.shift.eq(pass_step.shift),
            step.drained.first.eq(first),
            step.drained.last.eq(nest.last[Loop.PASS]),
            step.drained.destination.end.eq(nest.ending[Loop.GROUP]),
            self.valid.eq(running & ~(step.drain & early)),
            nest.step.eq(self.valid),
        ]
        with m.If(early):
            m.d.sync += [wait.eq(wait - 1), early.eq(wait != 1)]
        with m.If(self.valid):
            m.d.sync += clear.eq(step.drain)
            with m.If(step.drain):
                m.d.sync += [first.eq(nest.last[Loop.PASS]), wait.eq(slots - 1), early.eq(1)]
            with m.If(nest.ending[Loop.GROUP]):
                m.d.sync += running.eq(0)
        with m.If(nest.start):
            m.d.sync += [running.eq(1), clear.eq(1), first.eq(1), wait.eq(slots - 1), early.eq(1)]

    def _read(self, m: Module, nest: LoopNest) -> None:
        """Say where each step reads."""
        layer, position = self.layer, self.step.position
        # Behind a turn come the channel words that the first walk does not reach.
        address_bits = self._machine.feature_address_bits
        behind = Signal(address_bits, reset_less=True)
        counting = Signal(reset_less=True)
        with m.If(nest.start):
            m.d.sync += [behind.eq(layer.in_plane_words), counting.eq(1)]
        with m.Elif(nest.step & nest.last[Loop.CHANNEL]):
            m.d.sync += counting.eq(0)
        with m.Elif(nest.step & counting):
            m.d.sync += behind.eq(behind + layer.in_plane_words)
        turn = Signal.like(layer.in_turn, reset_less=True)  # output groups left of it, less one
        turns = Signal(reset_less=True)  # there are none
        group_ends = nest.step & nest.advance[Loop.GROUP]
        with m.If(nest.start | (group_ends & turns)):
            m.d.sync += [turn.eq(layer.in_turn - 1), turns.eq(layer.in_turn == 1)]
        with m.Elif(group_ends):
            m.d.sync += [turn.eq(turn - 1), turns.eq(turn == 1)]
        # A window may begin above the input: its address then is that of a row that is not there.
        origin = Signal(address_bits, reset_less=True)
        m.d.sync += origin.eq(layer.in_base - _shifted_sum(layer.in_row_words, layer.pad_top))
        row = {
            Loop.GROUP: Mux(turns, behind, 0),
            Loop.ROW: Mux(layer.stride[1], layer.in_row_words << 1, layer.in_row_words),
            Loop.KERNEL_ROW: layer.in_row_words,
            Loop.CHANNEL: layer.in_plane_words,
        }
        y = {Loop.ROW: layer.stride, Loop.KERNEL_ROW: 1}
        x = {Loop.TILE: layer.stride << ceil_log2(self._machine.pixels), Loop.KERNEL_COLUMN: 1}
        m.d.comb += [
            position.row.eq(self._sum(m, nest, "in_row", len(origin), origin, row)),
            position.y.eq(self._sum(m, nest, "in_y", signed(14), -layer.pad_top, y)),
            position.x.eq(self._sum(m, nest, "in_x", signed(14), -layer.pad_left, x)),
        ]

    def _weigh(self, m: Module, nest: LoopNest, pass_step: View) -> None:
        """Say which weight word each step takes: in its plane, word after word along the walk."""
        layer, bits = self.layer, self._machine.weight_address_bits
        packing = self._machine.packing
        if packing:
            # Words of the walks, of which a memory word holds several.
            bits += max(Packing)
        # The group's words count from the plane on where only their number tells the memory word.
        base = Const(0) if packing else layer.weight_base
        group = self._sum(m, nest, "weight_group", bits, base, {Loop.GROUP: layer.group_words})
        walked = Signal(bits, reset_less=True)
        with m.If(nest.start | (nest.step & nest.ending[Loop.KERNEL_ROW])):
            m.d.sync += walked.eq(0)
        with m.Elif(nest.step):
            m.d.sync += walked.eq(walked + 1)

        planes = _shifted_sum(layer.plane_words, pass_step.plane)
        plane, word = (
            Signal(self._machine.weight_address_bits, reset_less=True),
            Signal(bits, reset_less=True),
        )
        if not packing:
            m.d.sync += [plane.eq(group + planes), word.eq(walked), self.weight.eq(plane + word)]
            return
        taken = Signal.like(pass_step, reset_less=True)
        m.d.sync += [
            taken.eq(pass_step),
            plane.eq(layer.weight_base + planes),
            word.eq(group + walked),
            self.weight.eq(plane + (word >> taken.packing)),
            self.part.packing.eq(taken.packing),
            self.part.word.eq(word),
            self.part.plane.eq(taken.plane),
        ]

    def _deliver(self, m: Module, nest: LoopNest, word_ends: Value) -> None:
        """Say where the results of each tile go, and with which parameters they are made."""
        pixels, layer, drained = self._machine.pixels, self.layer, self.step.drained
        row = {
            Loop.GROUP: Mux(word_ends, layer.out_plane_words, 0),
            Loop.ROW: layer.out_row_words,
        }
        x = {Loop.TILE: Mux(layer.wide, 2 * pixels, pixels)}
        parameter = {Loop.GROUP: self._machine.requantizer_slots}
        destination = drained.destination
        m.d.comb += [
            destination.row.eq(
                self._sum(m, nest, "out_row", len(destination.row), layer.out_base, row)
            ),
            destination.x.eq(self._sum(m, nest, "out_x", 13, 0, x)),
            drained.parameter.eq(
                self._sum(
                    m, nest, "parameter", len(drained.parameter), layer.parameter_base, parameter
                )
            ),
        ]
        last_pixel = (layer.out_width - 1)[: ceil_log2(pixels)]
        for pixel in range(pixels):
            stored = (last_pixel >= pixel) if pixel else 1
            m.d.comb += destination.pixels[pixel].eq(~nest.last[Loop.TILE] | stored)

    def _add(self, m: Module, nest: LoopNest, word_ends: Value) -> None:
        """Say where the shortcut of each tile lies; its rows go on as those of the output."""
        layer, machine, place = self.layer, self._machine, self.step.drained.shortcut
        stride = layer.shortcut_stride
        row = {
            Loop.GROUP: Mux(word_ends, layer.shortcut_plane_words, 0),
            Loop.ROW: Mux(stride, layer.shortcut_row_words << 1, layer.shortcut_row_words),
        }
        x = {Loop.TILE: Mux(stride, machine.banks, machine.pixels)}
        first_x = self._sum(m, nest, "shortcut_x", 13, 0, x)
        group = self._sum(m, nest, "group", len(layer.out_channels), 0, {Loop.GROUP: 1})
        first_row = self._sum(m, nest, "shortcut_row", len(place.address), layer.shortcut_base, row)
        m.d.comb += [
            place.wanted.eq(group < layer.shortcut_groups),
            place.address.eq(first_row + bank_word(machine, first_x)),
            place.upper.eq(bank_index(machine, first_x)[-1]),
        ]
