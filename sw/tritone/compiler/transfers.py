# SPDX-License-Identifier: Apache-2.0
"""Transfers of pixels and regions cycle by cycle, as the gateware's registers have them.

Feature memory serves layers first, so when a transfer ends depends on what a layer does meanwhile.
Loads of words never wait: their end follows from their beats.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from tritone.spec.axi import BURST_BEATS
from tritone.spec.isa import MAX_WINDOW_CHANNELS, WINDOW_KERNEL
from tritone.spec.machine import BEAT_BYTES, MachineConfig
from tritone.spec.timing import FEATURE_READ_LATENCY, LOOKUP_CYCLES, READ_REQUEST_LATENCY

__all__ = ["MemoryTiming", "PixelLoad", "Store", "words_loaded"]


@dataclass(frozen=True, kw_only=True)
class MemoryTiming:
    """An external memory that takes and gives a beat a cycle.

    Parameters
    ----------
    read_latency : cycles from the request for a burst to its first beat.
    write_latency : cycles from the last beat of a burst to the response.
    """

    read_latency: int
    write_latency: int


# Cycles between the requests for two bursts.
_REQUEST_CYCLES = 2
_REGION_AHEAD = 8
_QUEUE_BEATS = 2 * BURST_BEATS


class _Beats:
    """The beats of a read: burst after burst, each offered until it is taken."""

    def __init__(self, begin: int, address: int, beats: int, memory: MemoryTiming) -> None:
        first = BURST_BEATS - address // BEAT_BYTES % BURST_BEATS
        self._first = first
        self._requested = begin + READ_REQUEST_LATENCY + memory.read_latency
        self.left = beats
        self._taken = 0
        self._offered = self._requested

    def offers(self, cycle: int) -> bool:
        """Return whether a beat is offered in ``cycle``."""
        return self.left > 0 and cycle >= self._offered

    def take(self, cycle: int) -> None:
        """Take the beat that is offered in ``cycle``."""
        self.left -= 1
        self._taken += 1
        # Requests run ahead of the data: only a short first burst can end too early.
        self._offered = cycle + 1
        if self._taken >= self._first:
            burst = 1 + (self._taken - self._first) // BURST_BEATS
            self._offered = max(self._offered, self._requested + _REQUEST_CYCLES * burst)


def words_loaded(
    begin: int, address: int, beats: int, memory: MemoryTiming, *, looked_up: bool = False
) -> int:
    """Return the first cycle in which a load of words is over.

    Parameters
    ----------
    begin, address : cycle of its begin and byte address.
    beats : to read, at least 1.
    memory : external memory.
    looked_up : they are weights, which wait for their table.
    """
    reader = _Beats(begin, address, beats, memory)
    taken_from = begin + LOOKUP_CYCLES if looked_up else begin
    cycle = begin
    while reader.left:
        cycle += 1
        if cycle >= taken_from and reader.offers(cycle):
            reader.take(cycle)
    return cycle + 3


class PixelLoad:
    """A LOAD into a feature memory: reader, a beat kept, unpacker, and the gatherer of windows.

    Parameters
    ----------
    machine : shape of the machine.
    fields : of the LOAD.
    begin, address : cycle of its begin and byte address.
    memory : external memory.
    """

    def __init__(
        self,
        machine: MachineConfig,
        fields: Mapping[str, int],
        begin: int,
        address: int,
        memory: MemoryTiming,
    ) -> None:
        self.begin = begin
        self._beats = _Beats(begin, address, fields["beats"], memory)
        self._reading = begin + 1  # last cycle in which the reader is busy
        size = 1 << fields["pixel_bytes"]
        self._pixels_in_beat = max(1, BEAT_BYTES // size)
        self._beats_of_pixel = max(1, size // BEAT_BYTES)
        self._pixels = fields["rows"] * fields["width"]
        self._kept = False
        self._filled = False
        self._pixel = 0
        self._part = 0
        self._gather = _Gather(machine, fields) if fields["kernel"] else None
        self._writing = False  # there is a word for the feature memory
        self._waiting = False  # and one before it, for which it had no time
        self._busy = True

    def busy(self, cycle: int) -> bool:
        """Return whether the load is under way in ``cycle``."""
        return self._busy

    def _working(self, cycle: int) -> bool:
        reading = self._beats.left > 0 or cycle <= self._reading or self._kept
        gathering = self._gather is not None and self._gather.busy
        leaving = self._writing or self._waiting
        return reading or (self._filled and self._pixels > 0) or gathering or leaving

    def step(self, cycle: int, free: bool) -> None:
        """Go through ``cycle``; ``free``: the feature memory takes a word in it."""
        self._busy = self._working(cycle)
        offered = self._filled and self._pixels > 0
        room = not (self._writing and self._waiting)
        if self._waiting:
            self._waiting = not free
        else:
            self._waiting = self._writing and not free
        if room:
            self._writing = self._gather.offers if self._gather else offered
        taken = self._gather.step(offered, room) if self._gather else offered and room
        last_pixel = self._pixel == self._pixels_in_beat - 1
        ready = not self._filled or self._pixels == 0 or (taken and last_pixel)
        if taken:
            self._pixels -= 1
            self._pixel = 0 if last_pixel else self._pixel + 1
            if last_pixel:
                self._filled = False
        came = not self._kept and self._beats.offers(cycle)
        if came:
            self._beats.take(cycle)
            self._reading = cycle + 1
        beat = self._kept or came
        self._kept = beat and not ready
        if ready and beat:
            self._part += 1
            self._filled = self._part == self._beats_of_pixel
            if self._filled:
                self._part = 0


class _Gather:
    """The gatherer of windows."""

    def __init__(self, machine: MachineConfig, fields: Mapping[str, int]) -> None:
        self._fields = fields
        taps = WINDOW_KERNEL * WINDOW_KERNEL
        assert fields["channels"] <= MAX_WINDOW_CHANNELS
        self._words = -(-taps * fields["channels"] // machine.rows)
        self._x = self._y = 0
        self._active = True
        self._words_left = 0

    @property
    def _inside(self) -> bool:
        fields = self._fields
        return (
            0 <= self._x - fields["pad_left"] < fields["width"]
            and 0 <= self._y - fields["pad_top"] < fields["rows"]
        )

    @property
    def busy(self) -> bool:
        return self._words_left > 0 or (self._active and not self._inside)

    @property
    def offers(self) -> bool:
        """Whether there is a word to be taken."""
        return self._words_left > 0

    def step(self, offered: bool, free: bool) -> bool:
        """Go through a cycle; return whether the pixel that is ``offered`` is taken."""
        fields = self._fields
        room = self._words_left == 0 or (free and self._words_left == 1)
        if free and self._words_left:
            self._words_left -= 1
        inside = self._inside
        if not self._active or not room or (inside and not offered):
            return False
        x, y = self._x, self._y
        first = WINDOW_KERNEL - 1
        if x >= first and y >= first and (fields["stride"] == 1 or not (x | y) & 1):
            self._words_left = self._words
        self._x += 1
        if self._x == fields["across"]:
            self._x, self._y = 0, y + 1
            self._active = self._y < fields["down"]
        return inside


class _Queue:
    """A queue whose output is a register behind a memory."""

    def __init__(self, depth: int) -> None:
        self._depth = depth
        self._inner = 0
        self.ready = False  # there is an output

    @property
    def level(self) -> int:
        """Entries in it."""
        return self._inner + self.ready

    @property
    def free(self) -> bool:
        """Whether it takes an entry."""
        return self._inner != self._depth - 1

    def step(self, write: bool, read: bool) -> None:
        """Go through a cycle."""
        moved = self._inner > 0 and (not self.ready or read)
        self._inner += (write and self.free) - moved
        self.ready = moved or (self.ready and not read)


class Store:
    """A STORE: region streamer and writer.

    Parameters
    ----------
    machine : shape of the machine.
    fields : of the STORE, or where a dump says group, width and rows.
    begin, address : cycle of its begin and byte address.
    memory : external memory.
    """

    def __init__(
        self,
        machine: MachineConfig,
        fields: Mapping[str, int],
        begin: int,
        address: int,
        memory: MemoryTiming,
    ) -> None:
        self.begin = begin
        self.group = fields["group"]
        self._memory = memory
        self._parts = machine.rows // BEAT_BYTES
        self._pixels = fields["width"] * fields["rows"]
        self._arriving: deque[int] = deque()  # cycles in which words come from feature memory
        self._ahead = 0
        self._words = _Queue(_REGION_AHEAD)
        self._part = 0
        self._busy = self._working = True
        self._ended = False
        self._beats = _Queue(_QUEUE_BEATS)
        self._to_send = 0
        self._requesting = False
        self._next_beat = address // BEAT_BYTES
        self._open = 0  # bursts without a response
        self._answers: deque[int] = deque()

    def busy(self, cycle: int) -> bool:
        """Return whether the store is under way in ``cycle``."""
        return self._busy

    def step(self, cycle: int, free: bool) -> None:
        """Go through ``cycle``; ``free``: the feature memory gives a word in it."""
        self._busy = self._working
        given = self._words.ready and self._beats.free and not self._ended
        last_part = self._part == self._parts - 1
        ends = given and last_part and self._pixels == 0 and self._ahead == 1
        ended, level, open_bursts = self._ended, self._beats.level, self._open
        self._send(cycle, given)
        if ends:
            self._ended = True
        self._read(cycle, free, given, given and last_part)
        if ended and level == 0 and open_bursts == 0:
            self._working = False

    def _read(self, cycle: int, free: bool, given: bool, word_given: bool) -> None:
        """Ask for words as far ahead as the queue reaches."""
        arrives = bool(self._arriving) and self._arriving[0] == cycle
        if arrives:
            self._arriving.popleft()
        requested = self._pixels > 0 and self._ahead != _REGION_AHEAD and free
        if requested:
            self._pixels -= 1
            self._arriving.append(cycle + FEATURE_READ_LATENCY)
        self._ahead += requested - word_given
        self._words.step(arrives, word_given)
        if given:
            self._part = (self._part + 1) % self._parts

    def _send(self, cycle: int, given: bool) -> None:
        """Start a burst when all of it is here, and send its beats."""
        span = BURST_BEATS - self._next_beat % BURST_BEATS
        level = self._beats.level
        start = (
            self._to_send == 0
            and not self._requesting
            and (level >= span or (self._ended and level > 0))
        )
        sent = self._to_send > 0 and self._beats.ready
        if sent:
            self._to_send -= 1
            if self._to_send == 0:
                self._answers.append(cycle + self._memory.write_latency)
        answered = bool(self._answers) and self._answers[0] == cycle
        if answered:
            self._answers.popleft()
        self._open += start - answered
        self._requesting = start
        if start:
            self._to_send = min(level, span)
            self._next_beat += self._to_send
        self._beats.step(given, sent)
