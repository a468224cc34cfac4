# SPDX-License-Identifier: Apache-2.0
"""The layer engine: runs one CONVOLVE or POOL from feature memory to feature memory."""

from __future__ import annotations

from amaranth import Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.data import View
from amaranth.lib.wiring import In, Out, connect, flipped

from tritone.spec.fixed import BETA
from tritone.spec.isa import LAYER, Adaptation, MemoryId, Opcode
from tritone.spec.machine import MachineConfig
from tritone.spec.packing import TERM_WORDS, TERMS
from tritone_hw.activation_reader import ActivationReader
from tritone_hw.array import Array
from tritone_hw.beta_registers import BetaRegisters
from tritone_hw.code_unpacker import CodeUnpacker
from tritone_hw.delay_line import DelayLine
from tritone_hw.feature_memory import FeatureMemory
from tritone_hw.layout import (
    MEMORY_WRITE,
    PLANES_TERMS,
    feature_read_layout,
    feature_write_layout,
    record_layout,
)
from tritone_hw.loadable_memory import LoadableMemory
from tritone_hw.pool import Pool
from tritone_hw.requantizer import Requantizer
from tritone_hw.shortcut_reader import ShortcutReader
from tritone_hw.step_generator import WEIGHT_PART, StepGenerator, drain_layout, step_layout
from tritone_hw.write_back import WriteBack, destination_layout

__all__ = ["Engine"]

# Of a word of weights, those that share an address register: up to 16 block memories of 18 Kbit.
_SLICE_BEATS = 4


class Engine(wiring.Component):
    """Step generator, memories, readers, array, pool, requantiser and write-back, wired.

    The path from a step to its write has a constant latency and never stalls. What a drain needs
    travels beside it. On an adaptive machine a layer that makes a beta ends when that and its
    reciprocal are kept.

    Timing: a layer that is taken in cycle 0 makes its first step in cycle ``START`` and leaves
    ``busy`` low ``flush`` cycles after the cycle behind its last step, and ``RECIPROCAL_CYCLES``
    after that if it makes a beta.

    Parameters
    ----------
    machine : shape of the machine.

    Attributes
    ----------
    START : cycles from a layer's acceptance to its first step.
    RECIPROCAL_CYCLES : by which a layer that makes a beta ends later.
    FEATURE_READ_LATENCY : cycles from a request at ``feature_read`` to its ``feature_data``.

    Members
    -------
    layer : In(stream.Signature(record_layout(LAYER)))
        Layers; ``opcode`` tells CONVOLVE from POOL. Taken while not busy.
    busy : Out(1)
        A layer is under way: from the cycle after it was taken until its last result is in the
        feature memory.
    array_step : Out(1)
        The array is given a step.
    write_back_valid : Out(1)
        Results of a tile are written.
    memory_write : In(stream.Signature(MEMORY_WRITE))
        Beats for the memories of weights, parameters and terms; never waits.
    feature_write : In(stream.Signature(feature_write_layout(machine)))
        Words for the feature memory; waits while results go to the same group.
    feature_read : In(stream.Signature(feature_read_layout(machine)))
        Requests to the feature memory; waits while activations are read from the same group.
    feature_data, feature_data_valid : Out(8 * R), Out(1)
        Answers to them, strobe.
    """

    START = 1 + StepGenerator.START
    RECIPROCAL_CYCLES = BetaRegisters.KEEP - WriteBack.LATENCY
    FEATURE_READ_LATENCY = FeatureMemory.READ_LATENCY

    def __init__(self, machine: MachineConfig) -> None:
        if not isinstance(machine, MachineConfig):
            raise TypeError(f"Machine must be a MachineConfig, not {machine!r}")
        self._machine = machine
        self._reader = ActivationReader(machine)
        self._array = Array(machine)
        self._pool = Pool(machine)
        self._requantizer = Requantizer(machine, destination_layout(machine))
        super().__init__(
            {
                "layer": In(stream.Signature(record_layout(LAYER))),
                "busy": Out(1),
                "array_step": Out(1),
                "write_back_valid": Out(1),
                "memory_write": In(stream.Signature(MEMORY_WRITE)),
                "feature_write": In(stream.Signature(feature_write_layout(machine))),
                "feature_read": In(stream.Signature(feature_read_layout(machine))),
                "feature_data": Out(machine.feature_word_bits),
                "feature_data_valid": Out(1),
            }
        )

    @property
    def machine(self) -> MachineConfig:
        """Shape of the machine."""
        return self._machine

    def flush(self, opcode: Opcode) -> int:
        """Return the cycles from behind a layer's last step to the first one that is not busy."""
        sums = self._array.latency if opcode == Opcode.CONVOLVE else self._pool.latency
        return self._reader.latency + sums + self._requantizer.latency + WriteBack.LATENCY

    def _memory(
        self, m: Module, which: MemoryId, memory: LoadableMemory, address: Value, latency: int
    ) -> Value:
        """Add a loadable memory; return the word at the address of ``latency`` cycles ago."""
        name = which.name.lower()
        delay = DelayLine(len(memory.address), latency - memory.latency)
        m.submodules[f"{name}_memory"] = memory
        m.submodules[f"{name}_address"] = delay
        m.d.comb += [
            memory.write.valid.eq(
                self.memory_write.valid & (self.memory_write.payload.memory == which)
            ),
            memory.write.payload.eq(self.memory_write.payload),
            delay.input.eq(address),
            memory.address.eq(delay.output),
        ]
        return memory.word

    def _weights(self, m: Module, generator: StepGenerator, terms: Value) -> Value:
        """Add the memory of weights and what unpacks them; return those of the array's step."""
        machine = self._machine
        # The unpacker takes the cycle that the slices' registers would.
        slice_beats = None if machine.packing else _SLICE_BEATS
        memory = LoadableMemory(machine.weight_word_bits, machine.weight_words, slice_beats)
        latency = self._reader.latency + Array.WEIGHTS_AFTER - generator.WEIGHT_LATENCY
        if not machine.packing:
            return self._memory(m, MemoryId.WEIGHT, memory, generator.weight, latency)
        unpacker = CodeUnpacker(machine)
        # It is told what to take in the cycle before the one in which the word is there.
        ahead = latency - CodeUnpacker.LATENCY
        word = self._memory(m, MemoryId.WEIGHT, memory, generator.weight, ahead + 1)
        m.submodules.code_unpacker = unpacker
        m.submodules.weight_part = part = DelayLine(WEIGHT_PART, ahead)
        words = LoadableMemory(TERMS.bits, TERM_WORDS)
        found = self._memory(m, MemoryId.TERMS, words, terms, words.latency)
        planes = View(PLANES_TERMS, found[: PLANES_TERMS.size])
        m.d.comb += [
            part.input.eq(generator.part),
            unpacker.selection.packing.eq(part.output.packing),
            unpacker.selection.word.eq(part.output.word),
            unpacker.selection.terms.eq(planes[part.output.plane]),
            unpacker.word.eq(word),
        ]
        return unpacker.terms.as_value()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        machine = self._machine
        m.submodules.step_generator = generator = StepGenerator(machine)
        m.submodules.feature_memory = features = FeatureMemory(machine)
        m.submodules.activation_reader = reader = self._reader
        m.submodules.array = array = self._array
        m.submodules.pool = pool = self._pool
        m.submodules.requantizer = requantizer = self._requantizer
        m.submodules.shortcut_reader = shortcuts = ShortcutReader(machine)
        m.submodules.write_back = write_back = WriteBack(machine)

        layer = Signal(record_layout(LAYER), reset_less=True)
        pooling = Signal()
        ended = Signal()
        m.d.comb += [
            self.layer.ready.eq(~self.busy),
            self.memory_write.ready.eq(1),
            generator.layer.eq(layer),
            reader.layer.eq(layer),
            shortcuts.layer.eq(layer),
        ]
        m.d.sync += [
            generator.start.eq(self.layer.valid & self.layer.ready),
            pooling.eq(layer.opcode == Opcode.POOL),
        ]
        # Whether there is a layer is known late, and its record has many registers.
        with m.If(self.layer.ready):
            m.d.sync += layer.eq(self.layer.payload)
        with m.If(self.layer.valid & self.layer.ready):
            m.d.sync += self.busy.eq(1)
        with m.Elif(ended):
            m.d.sync += self.busy.eq(0)

        # From a step to activations and, a little later, weights.
        step = generator.step
        m.submodules.step = later_step = DelayLine(step_layout(machine), reader.latency)
        m.d.comb += [
            later_step.input.eq(step),
            reader.valid.eq(generator.valid),
            reader.position.eq(step.position),
            self.array_step.eq(generator.valid & ~pooling),
        ]
        weights = self._weights(m, generator, layer.terms)
        connect(m, reader.window, features.window)
        m.d.comb += reader.words.eq(features.words)

        # From these to sums.
        for unit, wanted in ((array, ~pooling), (pool, pooling)):
            m.d.comb += [
                unit.valid.eq(reader.ready & wanted),
                unit.clear.eq(later_step.output.clear),
                unit.drain.eq(later_step.output.drain),
            ]
        m.d.comb += [
            array.nibbles.eq(reader.nibbles),
            array.weights.eq(weights),
            pool.activations.eq(reader.activations),
            pool.mode.eq(layer.pool_mode),
            pool.column_group.eq(later_step.output.column_group),
        ]

        # From sums to codes; array and pool have different latencies but are never both under way.
        # The last cycle of either is behind the choice between them.
        m.submodules.to_pool = to_pool = DelayLine(drain_layout(machine), pool.latency - 1)
        m.submodules.to_array = to_array = DelayLine(
            drain_layout(machine), array.latency - pool.latency
        )
        drained = Signal(drain_layout(machine), reset_less=True)
        load = Signal()
        m.d.sync += [
            drained.eq(Mux(pooling, to_pool.output, to_array.output)),
            load.eq(Mux(pooling, pool.draining, array.draining)),
        ]
        m.d.comb += [
            to_pool.input.eq(later_step.output.drained),
            to_array.input.eq(to_pool.output),
            requantizer.load.eq(load),
            requantizer.even.eq(Mux(pooling, pool.sums, array.even)),
            requantizer.odd.eq(array.odd),
            requantizer.even_only.eq(pooling),
            requantizer.drain_shift.eq(drained.shift),
            requantizer.first.eq(drained.first),
            requantizer.last.eq(drained.last),
            requantizer.parameter_base.eq(drained.parameter),
            requantizer.tag.eq(drained.destination),
            requantizer.shift.eq(layer.shift),
            requantizer.low.eq(layer.low),
            requantizer.high.eq(layer.high),
            requantizer.shortcut_multiplier.eq(layer.shortcut_multiplier),
            requantizer.shortcut_shift.eq(layer.shortcut_shift),
        ]

        # The shortcut of a tile, read while the requantiser takes the tile's last drain.
        assert requantizer.shortcut_at == ShortcutReader.LATENCY
        connect(m, shortcuts.line, features.line)
        m.d.comb += [
            shortcuts.valid.eq(requantizer.load & drained.last),
            shortcuts.place.eq(drained.shortcut),
            shortcuts.column_group.eq(drained.destination.column_group),
            shortcuts.words.eq(features.line_words),
            requantizer.shortcut.eq(shortcuts.codes),
        ]
        words = LoadableMemory(machine.parameter_word_bits, machine.parameter_words)
        parameters = self._memory(
            m, MemoryId.PARAMETER, words, requantizer.parameter_address, words.latency
        )

        # From codes to memory.
        m.d.comb += [
            requantizer.parameter.eq(parameters),
            write_back.group.eq(layer.out_group),
            write_back.wide.eq(layer.wide),
            write_back.valid.eq(requantizer.valid),
            write_back.results.eq(requantizer.results),
            write_back.destination.eq(requantizer.tag_out),
            self.write_back_valid.eq(write_back.tile.valid),
        ]
        connect(m, write_back.tile, features.tile)
        m.d.comb += ended.eq(write_back.landed)
        if machine.adaptive:
            m.submodules.beta_registers = betas = BetaRegisters()
            makes_beta = layer.adaptation == Adaptation.BETA
            m.d.comb += [
                betas.layer.eq(layer),
                betas.keep.eq(requantizer.valid & requantizer.tag_out.end & makes_beta),
                betas.beta.eq(requantizer.results[0][0][: BETA.bits]),
                ended.eq(Mux(makes_beta, betas.kept, write_back.landed)),
                reader.gain.eq(betas.gain),
                requantizer.scale.eq(betas.scale),
            ]

        connect(m, flipped(self.feature_read), features.read)
        connect(m, flipped(self.feature_write), features.write)
        m.d.comb += [
            self.feature_data.eq(features.data),
            self.feature_data_valid.eq(features.data_valid),
        ]
        return m
