# SPDX-License-Identifier: Apache-2.0
"""Feature memory: two groups of 2P banks, and the rule by which a pixel finds its bank."""

from __future__ import annotations

from amaranth import Array as Choice
from amaranth import Cat, Module, Mux, Signal, Value
from amaranth.hdl import ValueLike
from amaranth.lib import stream, wiring
from amaranth.lib.data import ArrayLayout, StructLayout
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from tritone.spec.fixed import STREAM
from tritone.spec.machine import MachineConfig
from tritone_hw.layout import NO_COLLISIONS, feature_read_layout, feature_write_layout

__all__ = [
    "FeatureMemory",
    "bank_index",
    "bank_word",
    "line_layout",
    "tile_write_layout",
    "window_layout",
]

GROUPS = 2


def bank_index(machine: MachineConfig, x: ValueLike) -> Value:
    """Return the bank of pixel ``x``, ``x mod 2P``: 2P neighbours never meet in one bank."""
    return Value.cast(x)[: ceil_log2(machine.banks)]


def bank_word(machine: MachineConfig, x: ValueLike) -> Value:
    """Return the word of pixel ``x`` within its row, ``x div 2P``, floored below 0."""
    return Value.cast(x) >> ceil_log2(machine.banks)


def line_layout(machine: MachineConfig) -> StructLayout:
    """Return the layout of a read of all banks of a group at one address."""
    return StructLayout({"group": 1, "address": machine.feature_address_bits})


def window_layout(machine: MachineConfig) -> StructLayout:
    """Return the layout of a read of all banks of a group, each at an address of its own."""
    return StructLayout(
        {"group": 1, "addresses": ArrayLayout(machine.feature_address_bits, machine.banks)}
    )


def tile_write_layout(machine: MachineConfig) -> StructLayout:
    """Return the layout of a write of C channels into some banks of a group, all at one address."""
    return StructLayout(
        {
            "group": 1,
            "address": machine.feature_address_bits,
            "banks": machine.banks,
            "column_groups": machine.word_columns,
            "channels": ArrayLayout(ArrayLayout(STREAM.bits, machine.columns), machine.banks),
        }
    )


class FeatureMemory(wiring.Component):
    """Two groups of 2P banks of words of R bytes.

    The layer engine reads with ``window`` and ``line``, never the same group with both, and writes
    with ``tile``, and never waits; transfers use the ports in the cycles that the engine leaves
    free: for reading those of the group that ``window`` leaves, where there is no ``line`` either,
    whose registers they share; for writing those without any ``tile``, whose word and address go to
    both groups.

    Timing: ``words`` stand ``WINDOW_LATENCY`` cycles after ``window`` and ``line_words`` after
    ``line``: a block memory answers so late in its cycle that a register follows behind the choice
    of the group. ``data`` ``READ_LATENCY`` cycles after the request was taken. What is written in a
    cycle is read by a request of the next one; a word that is written whole in the cycle in which
    it is read gives anything.

    Parameters
    ----------
    machine : shape of the machine.

    Attributes
    ----------
    WINDOW_LATENCY : cycles from ``window`` to ``words``, and from ``line`` to ``line_words``.
    READ_LATENCY : cycles from a request at ``read`` to its ``data``.

    Members
    -------
    window : In(stream.Signature(window_layout(machine), always_ready=True))
        Read of all banks of a group.
    words : Out(ArrayLayout(ArrayLayout(8, R), 2P))
        What it gave, bank by bank.
    line : In(stream.Signature(line_layout(machine), always_ready=True))
        Read of all banks of a group at one address.
    line_words : Out(ArrayLayout(ArrayLayout(8, R), 2P))
        What it gave, bank by bank.
    tile : In(stream.Signature(tile_write_layout(machine), always_ready=True))
        Write of C channels: ``banks`` has a bit for each bank to be written, ``column_groups`` one
        for each C of the R channels.
    read : In(stream.Signature(feature_read_layout(machine)))
        Read of one word; waits while ``window`` reads the same group, or ``line`` any.
    data, data_valid : Out(8 * R), Out(1)
        What it gave, strobe.
    write : In(stream.Signature(feature_write_layout(machine)))
        Write of one word, whole; waits while ``tile`` writes.
    """

    WINDOW_LATENCY = 2
    READ_LATENCY = 3

    def __init__(self, machine: MachineConfig) -> None:
        if not isinstance(machine, MachineConfig):
            raise TypeError(f"Machine must be a MachineConfig, not {machine!r}")
        self._machine = machine
        words = ArrayLayout(ArrayLayout(STREAM.bits, machine.rows), machine.banks)
        super().__init__(
            {
                "window": In(stream.Signature(window_layout(machine), always_ready=True)),
                "words": Out(words),
                "line": In(stream.Signature(line_layout(machine), always_ready=True)),
                "line_words": Out(words),
                "tile": In(stream.Signature(tile_write_layout(machine), always_ready=True)),
                "read": In(stream.Signature(feature_read_layout(machine))),
                "data": Out(machine.feature_word_bits),
                "data_valid": Out(1),
                "write": In(stream.Signature(feature_write_layout(machine))),
            }
        )

    @property
    def machine(self) -> MachineConfig:
        """Shape of the machine."""
        return self._machine

    def elaborate(self, platform: object) -> Module:
        m = Module()
        machine = self._machine
        window, line, tile = self.window.payload, self.line.payload, self.tile.payload
        request, load = self.read.payload, self.write.payload

        # A word that is read while a part of it is written keeps the other parts.
        attributes = NO_COLLISIONS if machine.word_columns == 1 else {}
        read_ports, write_ports = [], []
        for group in range(GROUPS):
            for bank in range(machine.banks):
                memory = Memory(
                    shape=machine.feature_word_bits,
                    depth=machine.feature_words,
                    init=[],
                    attrs=attributes,
                )
                m.submodules[f"group{group}_bank{bank}"] = memory
                read_ports.append(memory.read_port())
                write_ports.append(memory.write_port(granularity=machine.columns * STREAM.bits))

        m.d.comb += [
            self.read.ready.eq(
                ~(self.window.valid & (window.group == request.group)) & ~self.line.valid
            ),
            self.write.ready.eq(~self.tile.valid),
        ]
        address = Signal(machine.feature_address_bits)
        m.d.comb += address.eq(Mux(self.tile.valid, tile.address, load.address))
        for group in range(GROUPS):
            reading = Signal(name=f"reading{group}")
            writing = Signal(name=f"writing{group}")
            loading = Signal(name=f"loading{group}")
            m.d.comb += [
                reading.eq(self.window.valid & (window.group == group)),
                writing.eq(self.tile.valid & (tile.group == group)),
                loading.eq(self.write.valid & self.write.ready & (load.group == group)),
            ]
            for bank in range(machine.banks):
                read_port = read_ports[group * machine.banks + bank]
                write_port = write_ports[group * machine.banks + bank]
                with m.If(reading):
                    m.d.comb += read_port.addr.eq(window.addresses[bank])
                with m.Elif(self.line.valid):
                    m.d.comb += read_port.addr.eq(line.address)
                with m.Else():
                    m.d.comb += read_port.addr.eq(request.address)
                m.d.comb += [
                    write_port.addr.eq(address),
                    write_port.data.eq(
                        Mux(
                            self.tile.valid,
                            tile.channels[bank].as_value().replicate(machine.word_columns),
                            load.data,
                        )
                    ),
                ]
                with m.If(writing & tile.banks[bank]):
                    m.d.comb += write_port.en.eq(tile.column_groups)
                with m.Elif(loading & (load.bank == bank)):
                    m.d.comb += write_port.en.eq(~0)

        window_group = Signal.like(window.group, reset_less=True)
        line_group = Signal.like(line.group, reset_less=True)
        m.d.sync += [
            window_group.eq(window.group),
            line_group.eq(Mux(self.line.valid, line.group, request.group)),
        ]
        for bank in range(machine.banks):
            choices = Choice(read_ports[g * machine.banks + bank].data for g in range(GROUPS))
            m.d.sync += [
                self.words[bank].eq(choices[window_group]),
                self.line_words[bank].eq(choices[line_group]),
            ]

        taken = Signal(self.READ_LATENCY - 1)
        banks = [request.bank]  # of the word that is under way: request, memory, register
        for cycle in range(1, self.READ_LATENCY):
            banks.append(Signal.like(request.bank, name=f"bank_{cycle}", reset_less=True))
            m.d.sync += banks[cycle].eq(banks[cycle - 1])
        m.d.sync += [
            taken.eq(Cat(self.read.valid & self.read.ready, taken)),
            self.data_valid.eq(taken[-1]),
            self.data.eq(Choice(word.as_value() for word in self.line_words)[banks[-1]]),
        ]
        return m
