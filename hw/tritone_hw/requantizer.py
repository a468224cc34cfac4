# SPDX-License-Identifier: Apache-2.0
"""From the accumulators of drains to codes: partial sums, and the lanes that scale them."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth import C, Cat, Module, Mux, Signal, Value, signed
from amaranth.hdl import ShapeLike
from amaranth.lib import wiring
from amaranth.lib.data import ArrayLayout, StructLayout, View
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from tritone.spec.fixed import BETA, LOGIT, MULTIPLIER, STREAM, VALUE, half
from tritone.spec.isa import LAYER, PASS_STEP, parameter_record
from tritone.spec.machine import MachineConfig
from tritone_hw.layout import record_layout
from tritone_hw.requantizer_lane import LANES

__all__ = ["Requantizer"]

_SHIFT = record_layout(LAYER)["shift"].shape
_DRAIN_SHIFT = record_layout(PASS_STEP)["shift"].shape
_LIMIT = signed(LOGIT.bits)
_SHORTCUT_MULTIPLIER = record_layout(LAYER)["shortcut_multiplier"].shape
_SHORTCUT_SHIFT = record_layout(LAYER)["shortcut_shift"].shape


def _delay(m: Module, value: Value, cycles: int, name: str, reset_less: bool = True) -> list[Value]:
    """Return ``value`` delayed by 0 to ``cycles`` cycles."""
    delayed = [value]
    for cycle in range(1, cycles + 1):
        register = Signal.like(value, name=f"{name}_{cycle}", reset_less=reset_less)
        m.d.sync += register.eq(delayed[-1])
        delayed.append(register)
    return delayed


def _choose(values: View, own: Sequence[int], slot: Value) -> Value:
    """Return that of the values at ``own`` which ``slot`` counts.

    A tree of multiplexers; an Array would become a comparison for each value. Places of a power of
    two bits are found without a product.
    """
    words = [Value.cast(values[each]) for each in own]
    bits = len(words[0])
    place = 1 << ceil_log2(bits)
    padded = Cat(Cat(word, C(0, place - bits)) for word in words)
    return padded.word_select(slot, place)[:bits]


class Requantizer(wiring.Component):
    """Adds up the drains of a tile and turns their sum into codes, a slot a cycle.

    Slot s takes the channels from ``s * slot_channels`` on, of all P pixels, through C * P / slots
    lanes.

    Timing: a drain every ``slots`` cycles at most, no stalls. A drain with ``last`` is answered
    ``latency`` cycles after its ``load`` by ``valid``; ``results`` and ``tag_out`` hold in exactly
    that cycle.

    An adaptive machine multiplies M by beta between the parameter memory and the lanes, once for
    the P pixels of a channel.

    Parameters
    ----------
    machine : shape of the machine.
    tag : shape of what travels along.

    Members
    -------
    load : In(1)
        There is a drain; it and what follows are sampled in this cycle.
    even, odd : In(ArrayLayout(ArrayLayout(even_bits, C), P)), likewise
        Raw accumulators.
    even_only : In(1)
        The odd accumulators do not count; it does not change while results are under way.
    drain_shift : In(2)
        Shift of the accumulators in units of 4.
    first : In(1)
        The drain starts from B, otherwise from the sum of the drains before it.
    last : In(1)
        The sum is complete: scale it and give the results.
    parameter_base : In(machine.parameter_address_bits)
        Parameter word of slot 0.
    tag : In(tag)
        Anything.
    shift, low, high : In(6), In(signed(16)), In(signed(16))
        S and the clamp; they do not change while results are under way.
    shortcut : In(ArrayLayout(ArrayLayout(signed(9), C), P))
        Codes of the shortcut less their zero, 0 where there is none; of a drain with ``last``, from
        ``shortcut_at`` cycles after its ``load`` on for ``slots`` cycles.
    shortcut_multiplier, shortcut_shift : In(signed(16)), In(5)
        K and t; they do not change while results are under way. With half octaves K is not read,
        and ``shift`` is d: the channels have an S of their own.
    scale : In(12), on an adaptive machine only
        Beta in U2.10, 1024 where M stays as it is; it does not change while results are under way.
    parameter_address : Out(machine.parameter_address_bits)
        Parameter word to read.
    parameter : In(ArrayLayout(record_layout(parameter_record(machine)), slot_channels))
        That word, in the next cycle; the lowest channel first.
    valid : Out(1)
        Strobe.
    results : Out(ArrayLayout(ArrayLayout(16, C), P))
        Codes, two's complement.
    tag_out : Out(tag)
        The tag of the last drain.
    """

    def __init__(self, machine: MachineConfig, tag: ShapeLike) -> None:
        if not isinstance(machine, MachineConfig):
            raise TypeError(f"Machine must be a MachineConfig, not {machine!r}")
        self._machine = machine
        self._lane = LANES[machine.requantizer]
        columns, pixels = machine.columns, machine.pixels
        self._even = ArrayLayout(ArrayLayout(machine.even_bits, columns), pixels)
        self._odd = ArrayLayout(ArrayLayout(machine.odd_bits, columns), pixels)
        shortcut = ArrayLayout(ArrayLayout(signed(STREAM.bits + 1), columns), pixels)
        # What a drain needs beside its accumulators.
        self._order = StructLayout(
            {
                "slot": range(machine.requantizer_slots),
                "drain_shift": _DRAIN_SHIFT,
                "first": 1,
                "last": 1,
                "parameter_base": machine.parameter_address_bits,
                "tag": tag,
            }
        )
        super().__init__(
            {
                "load": In(1),
                "even": In(self._even),
                "odd": In(self._odd),
                "even_only": In(1),
                "drain_shift": In(_DRAIN_SHIFT),
                "first": In(1),
                "last": In(1),
                "parameter_base": In(machine.parameter_address_bits),
                "tag": In(tag),
                "shift": In(_SHIFT),
                "low": In(_LIMIT),
                "high": In(_LIMIT),
                "shortcut": In(shortcut),
                "shortcut_multiplier": In(_SHORTCUT_MULTIPLIER),
                "shortcut_shift": In(_SHORTCUT_SHIFT),
                "parameter_address": Out(machine.parameter_address_bits),
                "parameter": In(
                    ArrayLayout(record_layout(parameter_record(machine)), machine.slot_channels)
                ),
                "valid": Out(1),
                "results": Out(ArrayLayout(ArrayLayout(LOGIT.bits, columns), pixels)),
                "tag_out": Out(tag),
            }
            | ({"scale": In(BETA.bits)} if machine.adaptive else {})
        )

    @property
    def machine(self) -> MachineConfig:
        """Shape of the machine."""
        return self._machine

    @property
    def shortcut_at(self) -> int:
        """Cycles from ``load`` to ``shortcut``: hold, those of the lane less the one to select."""
        return 1 + self._lane.shortcut_at

    @property
    def latency(self) -> int:
        """Cycles from ``load`` to ``valid``: hold, select, lane, the other slots, collect."""
        return 2 + self._lane.latency + self._machine.requantizer_slots - 1 + 1

    @property
    def _parameter_at(self) -> int:
        """The lanes' cycle in which parameters come: M meets beta before it is wanted.

        A register behind the memory if there is a cycle for it: block memories answer late.
        """
        return max(0, min(self._lane.parameters.values()) - self._machine.adaptive - 1)

    def _constants(self, m: Module, channel: int) -> dict[str, Value]:
        """Return the constants of a channel of the slot, each in the lanes' cycle for it."""
        parameter, constants = self.parameter[channel], {}
        for name, at in self._lane.parameters.items():
            value, delay = parameter[name], at - self._parameter_at
            if name == "multiplier" and self._machine.adaptive:
                product = Signal(
                    signed(MULTIPLIER.bits + BETA.bits), name=f"product{channel}", reset_less=True
                )
                read = _delay(m, value, 1, f"read{channel}")[-1]
                m.d.sync += product.eq(read * self.scale)
                rounded = (product + half(BETA.frac)) >> BETA.frac
                value, delay = rounded[: MULTIPLIER.bits].as_signed(), delay - 2
            constants[name] = _delay(m, value, delay, f"{name}{channel}")[-1]
        return constants

    def elaborate(self, platform: object) -> Module:
        m = Module()
        machine = self._machine
        slots, channels = machine.requantizer_slots, machine.slot_channels

        # Hold the drain and count its slots.
        held_even = Signal(self._even, reset_less=True)
        held_odd = Signal(self._odd, reset_less=True)
        held = Signal(self._order, reset_less=True)
        busy = Signal()
        with m.If(self.load):
            m.d.sync += [
                held_even.eq(self.even),
                held_odd.eq(self.odd),
                held.slot.eq(0),
                held.drain_shift.eq(self.drain_shift),
                held.first.eq(self.first),
                held.last.eq(self.last),
                held.parameter_base.eq(self.parameter_base),
                held.tag.eq(self.tag),
                busy.eq(1),
            ]
        with m.Elif(busy):
            m.d.sync += [held.slot.eq(held.slot + 1), busy.eq(held.slot != slots - 1)]

        # orders[n] is the order of the outputs that are in cycle n of their lanes.
        lane_type = self._lane
        start_at, value_at = lane_type.start_at, lane_type.value_at
        orders = _delay(m, held, lane_type.latency + 1, "order")[1:]
        active = _delay(m, busy, lane_type.latency + 1, "active", reset_less=False)[1:]
        # A memory answers in the next cycle.
        fetch = orders[start_at - 1]
        asked = orders[self._parameter_at - 1] if self._parameter_at else held
        m.d.comb += self.parameter_address.eq(asked.parameter_base + asked.slot)
        m.submodules.partial_sums = partial_sums = Memory(
            shape=ArrayLayout(VALUE.bits, machine.lanes), depth=slots, init=[]
        )
        read_port = partial_sums.read_port()
        write_port = partial_sums.write_port()
        m.d.comb += [
            read_port.addr.eq(fetch.slot),
            write_port.addr.eq(orders[value_at].slot),
            write_port.en.eq(active[value_at]),
        ]

        shortcut_slot = orders[lane_type.shortcut_at - 1].slot
        constants = [self._constants(m, channel) for channel in range(channels)]

        done = orders[-1]
        for pixel in range(machine.pixels):
            for channel in range(channels):
                index = pixel * channels + channel
                lane = lane_type(machine.even_bits, machine.odd_bits)
                m.submodules[f"lane{index}"] = lane
                own = range(channel, machine.columns, channels)
                m.d.sync += [
                    lane.even.eq(_choose(held_even[pixel], own, held.slot)),
                    lane.odd.eq(_choose(held_odd[pixel], own, held.slot)),
                    lane.shortcut.eq(_choose(self.shortcut[pixel], own, shortcut_slot)),
                ]
                with m.If(self.even_only):
                    m.d.sync += lane.odd.eq(0)
                m.d.comb += [
                    lane.drain_shift.eq(fetch.drain_shift),
                    lane.start.eq(
                        Mux(
                            orders[start_at].first,
                            constants[channel]["bias"][: VALUE.bits],
                            read_port.data[index],
                        )
                    ),
                    write_port.data[index].eq(lane.value),
                    lane.low.eq(self.low),
                    lane.high.eq(self.high),
                ]
                for name in ("shift", "shortcut_multiplier", "shortcut_shift"):
                    if name in lane.signature.members and name not in lane_type.parameters:
                        m.d.comb += getattr(lane, name).eq(getattr(self, name))
                if "final_shift" in lane.signature.members:
                    m.d.comb += lane.final_shift.eq(self.shift)
                for name, constant in constants[channel].items():
                    if name != "bias":
                        m.d.comb += getattr(lane, name).eq(constant)
                # Collect the results of all slots.
                for slot, each in enumerate(own):
                    with m.If(done.slot == slot):
                        m.d.sync += self.results[pixel][each].eq(lane.result)
        m.d.sync += [
            self.valid.eq(active[-1] & done.last & (done.slot == slots - 1)),
            self.tag_out.eq(done.tag),
        ]
        return m
