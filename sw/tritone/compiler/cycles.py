# SPDX-License-Identifier: Apache-2.0
"""How many cycles a run takes, instruction by instruction, without simulating the gateware.

Exact for an external memory that gives and takes a beat a cycle; one that pauses takes longer.
Layers are whole numbers of cycles; only while a transfer of pixels is under way every cycle is gone
through, because it may wait for the layer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from tritone.compiler.transfers import MemoryTiming, PixelLoad, Store, words_loaded
from tritone.spec.isa import (
    HEADER,
    INSTRUCTION_BEATS,
    RECORDS,
    Base,
    MemoryId,
    Opcode,
)
from tritone.spec.program import Program
from tritone.spec.timing import INSTRUCTION_CYCLES, TRANSFER_START, PortUse

__all__ = ["Prediction", "Step", "predict"]

Fields = Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class Step:
    """One instruction of a run.

    Parameters
    ----------
    image : which image, from 0.
    instruction : its index in the program.
    opcode : what it does.
    start : cycle of its dispatch, counted from the start of the run.
    end : first cycle in which what it started has ended.
    """

    image: int
    instruction: int
    opcode: Opcode
    start: int
    end: int


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """A run.

    Parameters
    ----------
    cycles : from start to done, as the register counts them.
    steps : the instructions in the order of their dispatch.
    """

    cycles: int
    steps: tuple[Step, ...]

    def image_cycles(self) -> tuple[int, ...]:
        """Return for each image the cycles from the NEXT of the one before it, or start, to its."""
        ends = [0, *(step.start for step in self.steps if step.opcode is Opcode.NEXT)]
        return tuple(after - before for before, after in pairwise(ends))


class _Layer:
    """The layer that was accepted last."""

    def __init__(self) -> None:
        self.accepted = 0
        self.use: PortUse | None = None
        self.end = 0

    def begin(self, cycle: int, use: PortUse) -> None:
        """Accept a layer."""
        self.accepted, self.use, self.end = cycle, use, cycle + use.cycles

    def lets_read(self, cycle: int, group: int) -> bool:
        """Return whether it leaves reading from ``group`` to transfers in ``cycle``."""
        if self.use is None or cycle >= self.end:
            return True
        return not self.use.reads(group, cycle - self.accepted)

    def lets_write(self, cycle: int) -> bool:
        """Return whether it leaves writing to transfers in ``cycle``."""
        if self.use is None or cycle >= self.end:
            return True
        return not self.use.writes(cycle - self.accepted)


class _Machine:
    """The sequencer and what runs beside it."""

    def __init__(self, program: Program, images: int, memory: MemoryTiming) -> None:
        self._program = program
        self._machine = program.machine
        self._memory = memory
        self._images = images
        self._image = 0
        self._next = 0
        self._decoded = [_decode(word) for word in program.instruction_words()]
        self._uses: dict[int, PortUse] = {}
        self._layer = _Layer()
        self._pixels: PixelLoad | None = None
        self._words_end = 0
        self._store: Store | None = None
        self._steps: list[tuple[int, int, Opcode, int]] = []
        self._ends: dict[int, int] = {}
        self._loading_step = self._storing_step = -1

    def run(self) -> Prediction:
        """Go from the start to the cycle in which the run stops."""
        # The program is asked for in the first cycle behind the start.
        beats = self._program.instructions * INSTRUCTION_BEATS
        cycle = words_loaded(1 + TRANSFER_START, 0, beats, self._memory)
        ready = cycle + INSTRUCTION_CYCLES
        running = True
        while running or self._working(cycle):
            if running and cycle >= ready and self._dispatch(cycle):
                ready = cycle + INSTRUCTION_CYCLES
                running = self._image < self._images
            cycle = self._advance(cycle, ready if running else cycle + 1)
        self._settle(cycle)
        steps = tuple(
            Step(
                image=image,
                instruction=index,
                opcode=opcode,
                start=start,
                end=self._ends.get(number, start + 1),
            )
            for number, (image, index, opcode, start) in enumerate(self._steps)
        )
        return Prediction(cycles=cycle, steps=steps)

    def _loading(self, cycle: int) -> bool:
        return cycle < self._words_end or (self._pixels is not None and self._pixels.busy(cycle))

    def _storing(self, cycle: int) -> bool:
        return self._store is not None and self._store.busy(cycle)

    def _working(self, cycle: int) -> bool:
        return self._loading(cycle) or self._storing(cycle) or cycle < self._layer.end

    def _settle(self, cycle: int) -> None:
        """Note which transfers have ended by ``cycle``."""
        if self._pixels is not None and not self._pixels.busy(cycle):
            self._pixels = None
            self._ends[self._loading_step] = cycle
        if self._store is not None and not self._store.busy(cycle):
            self._store = None
            self._ends[self._storing_step] = cycle

    def _advance(self, cycle: int, ready: int) -> int:
        """Go through ``cycle``, and on to the next one in which something happens."""
        if self._pixels is not None and cycle > self._pixels.begin:
            free = self._layer.lets_write(cycle)
            self._pixels.step(cycle, free)
        if self._store is not None and cycle > self._store.begin:
            free = self._layer.lets_read(cycle, self._store.group)
            self._store.step(cycle, free)
        transferring = self._pixels is not None or self._store is not None
        self._settle(cycle + 1)
        if transferring:
            # What has waited for the end of a transfer may go on in the next cycle.
            return cycle + 1
        # Nothing changes but by the end of words or of a layer.
        awaited = (ready, self._words_end, self._layer.end)
        return min((each for each in awaited if each > cycle), default=cycle + 1)

    def _dispatch(self, cycle: int) -> bool:
        """Return whether the next instruction is dispatched in ``cycle``, and do that."""
        opcode, fields = self._decoded[self._next]
        loading, storing = self._loading(cycle), self._storing(cycle)
        calculating = cycle < self._layer.end
        held = (
            (fields["wait_load"] and loading)
            or (fields["wait_store"] and storing)
            or (fields["wait_layer"] and calculating)
        )
        skipped = (
            opcode is Opcode.LOAD
            and fields["source"] == Base.NEXT_IMAGE
            and self._image == self._images - 1
        )
        own = {
            # The load that the last image skips waits for no other.
            Opcode.LOAD: loading and not skipped,
            Opcode.STORE: storing,
            Opcode.CONVOLVE: calculating,
            Opcode.POOL: calculating,
        }
        if held or own.get(opcode, False):
            return False
        number, index = len(self._steps), self._next
        self._steps.append((self._image, index, opcode, cycle))
        self._next += 1
        match opcode:
            case Opcode.LOAD:
                if not skipped:
                    self._load(fields, cycle, number)
            case Opcode.STORE:
                address = fields["offset"]
                if fields["target"] == Base.RESULT:
                    address += self._image * self._program.metadata["result"]["bytes"]
                begin = cycle + TRANSFER_START
                self._store = Store(self._machine, fields, begin, address, self._memory)
                self._storing_step = number
            case Opcode.CONVOLVE | Opcode.POOL:
                if index not in self._uses:
                    self._uses[index] = PortUse(self._machine, fields)
                self._layer.begin(cycle, self._uses[index])
                self._ends[number] = self._layer.end
            case Opcode.NEXT:
                self._image += 1
                self._next = fields["target"]
        return True

    def _load(self, fields: Fields, cycle: int, number: int) -> None:
        begin = cycle + TRANSFER_START
        address = fields["offset"]
        if fields["source"] != Base.PROGRAM:
            address += self._image * self._program.metadata["image"]["bytes"]
        if fields["memory"] in (MemoryId.FEATURE_0, MemoryId.FEATURE_1):
            self._pixels = PixelLoad(self._machine, fields, begin, address, self._memory)
            self._loading_step = number
        else:
            weights = fields["memory"] == MemoryId.WEIGHT
            self._words_end = words_loaded(
                begin, address, fields["beats"], self._memory, looked_up=weights
            )
            self._ends[number] = self._words_end


def _decode(word: int) -> tuple[Opcode, Fields]:
    opcode = Opcode(word & HEADER.fields[0].high)
    return opcode, RECORDS[opcode].unpack(word)


# What the benches attach: cocotbext-axi's AxiRam without pauses.
_AXI_RAM = MemoryTiming(read_latency=2, write_latency=2)


def predict(program: Program, images: int, memory: MemoryTiming = _AXI_RAM) -> Prediction:
    """Return what a run of ``images`` images takes without dumps.

    Parameters
    ----------
    program : compiled for its machine.
    images : at least 1.
    memory : the external memory; program, first image and first result lie at multiples of 128
        bytes.
    """
    if images < 1:
        raise ValueError(f"Images must be at least 1, not {images}")
    return _Machine(program, images, memory).run()
