# SPDX-License-Identifier: Apache-2.0
"""Runs the program: decodes and dispatches the instructions of ``tritone.spec.isa``."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import stream
from amaranth.lib.data import View
from amaranth.lib.wiring import Component, In, Out, connect, flipped
from amaranth.utils import ceil_log2

from tritone.spec.axi import ADDRESS_BITS, LITE_DATA_BITS
from tritone.spec.isa import (
    INSTRUCTION_BEATS,
    LAYER,
    MAX_PASS_STEPS,
    MAX_WINDOW_CHANNELS,
    WINDOW_KERNEL,
    Adaptation,
    Base,
    MemoryId,
    Opcode,
    Packing,
)
from tritone.spec.machine import BEAT_BITS, MachineConfig
from tritone.spec.regmap import ErrorCode
from tritone_hw.dma import LOAD_FIELDS, LOAD_REQUEST, STORE_REQUEST
from tritone_hw.instruction_fetcher import InstructionFetcher
from tritone_hw.layout import PASS_STEPS, record_layout
from tritone_hw.region_walker import REGION_FIELDS
from tritone_hw.registers import SETTINGS

__all__ = ["Sequencer"]

# Counters run from 1 up to these or from these down to 1: a 0 would not be what anyone means.
_LOAD_WORD_SIZES = ("beats", "words")
_LOAD_PIXEL_SIZES = ("beats", "width", "rows")
_LOAD_WINDOW_SIZES = ("channels", "across", "down")
_STORE_SIZES = ("width", "rows")
_LAYER_SIZES = (
    "in_channels",
    "out_width",
    "out_height",
    "out_channels",
    "in_turn",
    "stored_rows",
    "kernel_height",
    "kernel_width",
    "pass_steps",
)


class Sequencer(Component):
    """Loads a program into instruction memory, then executes it, an instruction after the other.

    The next instruction is fetched while transfers and a layer are under way, and waits for what
    it must. After a bus error or an instruction that cannot be executed nothing new starts; when
    all transfers and the layer have ended the run stops with the code of the first error.

    With ``dump`` the region that a layer stores is written to external memory before the next
    instruction is fetched.

    Timing: from one dispatch to the next InstructionFetcher.CYCLES + 2 cycles, or more if it waits.

    Parameters
    ----------
    machine : shape of the machine.

    Members
    -------
    start, dump, program_address ... : from the registers; taken over at ``start``.
    stop, error : for one cycle at the end of the run.
    instruction : index of the instruction that was decoded last.
    image_done : for one cycle at the end of each image.
    load, loading, store, storing, store_end, read_error, write_error, program_write : see Dma;
        requests hold still in the cycle behind their handshake.
    layer, layer_busy : instructions for the layer engine; busy from the cycle behind the handshake
        until its results are stored.
    """

    def __init__(self, machine: MachineConfig) -> None:
        self.machine = machine
        super().__init__(
            {
                "start": In(1),
                "dump": In(1),
                "stop": Out(1),
                "error": Out(ErrorCode),
                "instruction": Out(16),
                "image_done": Out(1),
                "load": Out(stream.Signature(LOAD_REQUEST)),
                "loading": In(1),
                "store": Out(stream.Signature(STORE_REQUEST)),
                "storing": In(1),
                "store_end": In(ADDRESS_BITS),
                "read_error": In(1),
                "write_error": In(1),
                "program_write": In(stream.Signature(BEAT_BITS, always_ready=True)),
                "layer": Out(stream.Signature(record_layout(LAYER))),
                "layer_busy": In(1),
            }
            | {name: In(LITE_DATA_BITS) for name in SETTINGS}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.fetcher = fetcher = InstructionFetcher(self.machine)
        connect(m, flipped(self.program_write), fetcher.program_write)
        word = fetcher.instruction
        most = self.machine.instruction_words // INSTRUCTION_BEATS

        # Settings of this run; the addresses of image, result and dump advance.
        settings = {name: Signal(LITE_DATA_BITS, name=f"run_{name}") for name in SETTINGS}
        dump = Signal()
        index = Signal(16)
        failure = Signal(ErrorCode)
        with m.If(failure == ErrorCode.NONE):
            with m.If(self.read_error):
                m.d.sync += failure.eq(ErrorCode.READ_ERROR)
            with m.Elif(self.write_error):
                m.d.sync += failure.eq(ErrorCode.WRITE_ERROR)

        self._compose_requests(m, word, settings)
        legal = self._legal(m, word)
        working = self.loading | self.storing | self.layer_busy
        header = word.header
        held = (
            (header.wait_load & self.loading)
            | (header.wait_store & self.storing)
            | (header.wait_layer & self.layer_busy)
        )
        # Known when an instruction is dispatched: both stand still since the one before it.
        last_image = Signal()
        skipped = Signal()
        mismatch = Signal()
        too_long = Signal()
        beyond = Signal()  # there is no instruction ``index``
        instructions = settings["program_instructions"]
        m.d.sync += [
            beyond.eq(index >= instructions),
            last_image.eq(settings["image_count"] <= 1),
            skipped.eq((settings["image_count"] <= 1) & (word.load.source == Base.NEXT_IMAGE)),
            mismatch.eq(word.check.fingerprint != self.machine.fingerprint),
        ]
        m.d.comb += [fetcher.rewind.eq(self.start), fetcher.index.eq(index)]

        def fail(code: ErrorCode) -> None:
            m.d.sync += failure.eq(code)
            m.next = "DRAIN"

        with m.FSM():
            with m.State("IDLE"), m.If(self.start):
                m.d.sync += [settings[name].eq(getattr(self, name)) for name in SETTINGS]
                m.d.sync += [dump.eq(self.dump), index.eq(0), failure.eq(ErrorCode.NONE)]
                count = self.program_instructions
                m.d.sync += too_long.eq((count == 0) | (count > most))
                m.next = "LOAD_PROGRAM"
            with m.State("LOAD_PROGRAM"):
                with m.If(too_long):
                    fail(ErrorCode.PROGRAM_TOO_LONG)
                with m.Else():
                    self._compose_program_request(m, settings)
                    m.d.comb += self.load.valid.eq(1)
                    with m.If(self.load.ready):
                        m.next = "AWAIT_PROGRAM"
            with m.State("AWAIT_PROGRAM"):
                self._compose_program_request(m, settings)
                with m.If(~self.loading):
                    m.next = "FETCH"

            with m.State("FETCH"):
                with m.If(failure != ErrorCode.NONE):
                    m.next = "DRAIN"
                with m.Elif(beyond):
                    fail(ErrorCode.ILLEGAL_INSTRUCTION)
                with m.Else():
                    m.d.comb += fetcher.fetch.eq(1)
                    m.d.sync += [self.instruction.eq(index), index.eq(index + 1)]
                    m.next = "AWAIT_INSTRUCTION"
            with m.State("AWAIT_INSTRUCTION"), m.If(fetcher.fetched):
                m.next = "DISPATCH"
            with m.State("DISPATCH"):
                with m.If(failure != ErrorCode.NONE):
                    m.next = "DRAIN"
                with m.Elif(~legal):
                    fail(ErrorCode.ILLEGAL_INSTRUCTION)
                with m.Elif(~held), m.Switch(header.opcode):
                    with m.Case(Opcode.CHECK):
                        m.next = "FETCH"
                        with m.If(mismatch):
                            fail(ErrorCode.FINGERPRINT_MISMATCH)
                    with m.Case(Opcode.LOAD):
                        m.d.comb += self.load.valid.eq(~self.loading & ~skipped)
                        with m.If(skipped | (self.load.valid & self.load.ready)):
                            m.next = "FETCH"
                    with m.Case(Opcode.STORE):
                        m.d.comb += self.store.valid.eq(~self.storing)
                        with m.If(self.store.valid & self.store.ready):
                            m.next = "FETCH"
                    with m.Case(Opcode.CONVOLVE, Opcode.POOL):
                        m.d.comb += self.layer.valid.eq(~self.layer_busy)
                        with m.If(self.layer.valid & self.layer.ready):
                            m.next = "FETCH"
                            with m.If(dump):
                                m.next = "AWAIT_LAYER"
                    with m.Case(Opcode.NEXT):
                        m.d.comb += self.image_done.eq(1)
                        self._advance(m, word, settings)
                        m.d.sync += [
                            index.eq(word.next.target),
                            beyond.eq(word.next.target >= instructions),
                        ]
                        m.next = "FETCH"
                        with m.If(last_image):
                            m.next = "DRAIN"

            with m.State("AWAIT_LAYER"), m.If(~self.layer_busy):
                m.next = "DUMP"
            with m.State("DUMP"):
                self._compose_dump_request(m, word, settings)
                m.d.comb += self.store.valid.eq(~self.storing)
                with m.If(self.store.valid & self.store.ready):
                    m.next = "AWAIT_DUMP"
            with m.State("AWAIT_DUMP"):
                self._compose_dump_request(m, word, settings)
                with m.If(~self.storing):
                    m.d.sync += settings["dump_address"].eq(self.store_end)
                    m.next = "FETCH"

            with m.State("DRAIN"), m.If(~working):
                m.d.comb += [self.stop.eq(1), self.error.eq(failure)]
                m.next = "IDLE"
        return m

    def _advance(self, m: Module, word: View, settings: dict[str, Signal]) -> None:
        """Go on to the next image."""
        for name, distance in (
            ("image_address", word.next.image_bytes),
            ("result_address", word.next.result_bytes),
        ):
            m.d.sync += settings[name].eq(settings[name] + distance)
        m.d.sync += settings["image_count"].eq(settings["image_count"] - 1)

    def _compose_requests(self, m: Module, word: View, settings: dict[str, Signal]) -> None:
        """Build the payloads of all requests from the instruction, as if it were of their kind."""
        bases = {
            Base.PROGRAM: settings["program_address"],
            Base.IMAGE: settings["image_address"],
            Base.RESULT: settings["result_address"],
            Base.NEXT_IMAGE: settings["image_address"],
        }
        load, store, layer = self.load.p, self.store.p, self.layer.p
        for name, selector, offset, request in (
            ("source", word.load.source, word.load.offset, load.source),
            ("target", word.store.target, word.store.offset, store.target),
        ):
            # A register, so that no path leads from the instruction over the sum to the bus.
            address = Signal(ADDRESS_BITS, name=name, reset_less=True)
            with m.Switch(selector):
                for base, start in bases.items():
                    with m.Case(base):
                        m.d.sync += address.eq(start + offset)
            m.d.comb += request.eq(address)
        m.d.comb += [load[name].eq(word.load[name]) for name in LOAD_FIELDS]
        m.d.comb += [store.region[name].eq(word.store[name]) for name in REGION_FIELDS]
        m.d.comb += layer.eq(word.layer)

    def _compose_program_request(self, m: Module, settings: dict[str, Signal]) -> None:
        """Ask for the program."""
        load = self.load.p
        m.d.comb += [
            load.program.eq(1),
            load.source.eq(settings["program_address"]),
            load.beats.eq(settings["program_instructions"] * INSTRUCTION_BEATS),
        ]

    def _compose_dump_request(self, m: Module, word: View, settings: dict[str, Signal]) -> None:
        """Ask for a store of the region that the layer has filled."""
        region = self.store.p.region
        m.d.comb += [
            self.store.p.target.eq(settings["dump_address"]),
            region.group.eq(word.layer.out_group),
            region.base.eq(word.layer.out_base),
            region.width.eq(word.layer.out_width << word.layer.wide),
            region.rows.eq(word.layer.stored_rows),
            region.row_words.eq(word.layer.out_row_words),
        ]

    def _legal(self, m: Module, word: View) -> Signal:
        """Return whether the instruction of the cycle before can be executed."""
        legal = Signal()
        load, store, layer = word.load, word.store, word.layer
        # A layer whose last walk kept its sums would never end.
        steps = View(PASS_STEPS, layer.steps)
        last = Signal(range(MAX_PASS_STEPS))
        m.d.comb += last.eq(layer.pass_steps - 1)
        packings = max(Packing) if self.machine.packing else Packing.NIBBLES
        m.d.sync += legal.eq(0)
        with m.Switch(word.header.opcode):
            with m.Case(Opcode.CHECK, Opcode.NEXT):
                m.d.sync += legal.eq(1)
            with m.Case(Opcode.LOAD):
                pixels = (load.memory == MemoryId.FEATURE_0) | (load.memory == MemoryId.FEATURE_1)
                sizes = Mux(
                    pixels,
                    _nonzero(load, _LOAD_PIXEL_SIZES)
                    & (load.pixel_bytes <= ceil_log2(self.machine.rows)),
                    _nonzero(load, _LOAD_WORD_SIZES),
                )
                windows = (
                    pixels
                    & (load.kernel == WINDOW_KERNEL)
                    & (load.channels <= MAX_WINDOW_CHANNELS)
                    & ((load.stride == 1) | (load.stride == 2))
                    & (load.across <= self.machine.gather_width)
                    & _nonzero(load, _LOAD_WINDOW_SIZES)
                )
                there = MemoryId.TERMS if self.machine.packing else MemoryId.FEATURE_1
                m.d.sync += legal.eq(
                    sizes & (load.memory <= there) & ((load.kernel == 0) | windows)
                )
            with m.Case(Opcode.STORE):
                m.d.sync += legal.eq(
                    _nonzero(store, _STORE_SIZES) & (store.target != Base.NEXT_IMAGE)
                )
            with m.Case(Opcode.CONVOLVE, Opcode.POOL):
                m.d.sync += legal.eq(
                    _nonzero(layer, _LAYER_SIZES)
                    & (layer.pass_steps <= MAX_PASS_STEPS)
                    & ((layer.stride == 1) | (layer.stride == 2))
                    & ((layer.shortcut_groups == 0) | (layer.in_group != layer.out_group))
                    & steps[last].drain
                    & (self.machine.adaptive | (layer.adaptation == Adaptation.NONE))
                    & Cat(step.packing <= packings for step in steps).all()
                )
        return legal


def _nonzero(record: View, names: tuple[str, ...]) -> Value:
    """Return whether none of the fields is 0."""
    return Cat(record[name].any() for name in names).all()
