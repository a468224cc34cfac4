# SPDX-License-Identifier: Apache-2.0
"""Memory and registers of a board behind a serial line."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import Protocol

from tritone.host.frames import Frame, FrameReader
from tritone.spec.host_link import (
    HEADER,
    IDENTITY,
    LINK_VERSION,
    MAX_BEATS,
    Answer,
    Operation,
)
from tritone.spec.machine import BEAT_BYTES

__all__ = ["Line", "Link"]

_ATTEMPTS = 4
_TAGS = HEADER.fields[1].high + 1
_ANSWERS = frozenset(Answer)


class Line(Protocol):
    """A serial line, such as ``serial.Serial`` with a timeout."""

    @property
    def in_waiting(self) -> int:
        """Bytes that have come."""

    def read(self, size: int) -> bytes:
        """Return so many bytes, or those that came before the timeout."""

    def write(self, data: bytes) -> int | None:
        """Send bytes."""


class Link:
    """A board: the ``Registers`` of a ``Driver``, and its memory.

    What is damaged or unanswered is asked again, some times.

    Parameters
    ----------
    line : to the board. Its reads must end after a while, whatever comes.
    seconds : to wait for an answer.

    Attributes
    ----------
    memory_bytes : from address 0 on.
    clock_hz : of the machine.
    repeated : requests that were asked again.

    Raises
    ------
    TimeoutError : nobody answers.
    ValueError : it answers in another version.
    """

    def __init__(self, line: Line, *, seconds: float = 2.0) -> None:
        self._line = line
        self._seconds = seconds
        self._reader = FrameReader()
        self._tags = itertools.cycle(range(_TAGS))
        self.repeated = 0
        data = self._request(Operation.IDENTIFY, 0, 0)
        version = int.from_bytes(data[:2], "little")
        if version != LINK_VERSION:
            raise ValueError(
                f"Board must speak version {LINK_VERSION} of the host link, not {version}; "
                "configure it with a bitstream of this version"
            )
        identity = IDENTITY.unpack(int.from_bytes(data, "little"))
        self.memory_bytes = identity["memory_beats"] * BEAT_BYTES
        self.clock_hz = identity["clock_hz"]

    def read(self, offset: int) -> int:
        """Return the register at a byte address."""
        data = self._request(Operation.READ_REGISTER, offset, 0)
        return int.from_bytes(data, "little")

    def write(self, offset: int, value: int) -> None:
        """Write the register at a byte address."""
        self._request(Operation.WRITE_REGISTER, offset, 1, value.to_bytes(BEAT_BYTES, "little"))

    def read_memory(
        self, address: int, size: int, watch: Callable[[int], None] = lambda size: None
    ) -> bytes:
        """Return bytes of memory from ``address`` on, a multiple of 8; ``watch``: bytes so far.

        Raises
        ------
        ValueError : memory does not reach so far, or the address is crooked.
        """
        self._require_memory(address, size)
        data = bytearray()
        for start in range(0, size, MAX_BEATS * BEAT_BYTES):
            beats = min(MAX_BEATS, -(-(size - start) // BEAT_BYTES))
            data += self._request(Operation.READ_MEMORY, address + start, beats)
            watch(min(len(data), size))
        return bytes(data[:size])

    def write_memory(
        self, address: int, data: bytes, watch: Callable[[int], None] = lambda size: None
    ) -> None:
        """Write bytes to memory from ``address`` on, a multiple of 8; ``watch``: bytes so far.

        The last beat is filled up with zeros.

        Raises
        ------
        ValueError : memory does not reach so far, or the address is crooked.
        """
        self._require_memory(address, len(data))
        padded = data + bytes(-len(data) % BEAT_BYTES)
        step = MAX_BEATS * BEAT_BYTES
        for start in range(0, len(padded), step):
            part = padded[start : start + step]
            self._request(Operation.WRITE_MEMORY, address + start, len(part) // BEAT_BYTES, part)
            watch(min(start + step, len(data)))

    def _require_memory(self, address: int, size: int) -> None:
        if address % BEAT_BYTES:
            raise ValueError(f"Address must be a multiple of {BEAT_BYTES}, not {address}")
        if address + size > self.memory_bytes:
            raise ValueError(
                f"Memory must be within the {self.memory_bytes:,} bytes of the board, "
                f"not {size:,} bytes at {address:,}"
            )

    def _request(self, operation: Operation, address: int, beats: int, data: bytes = b"") -> bytes:
        """Ask, as often as it takes; return the data of the answer."""
        frame = Frame(code=operation, tag=next(self._tags), beats=beats, address=address, data=data)
        for attempt in range(_ATTEMPTS):
            self.repeated += attempt > 0
            self._line.write(frame.to_line())
            answer = self._answer(frame.tag)
            if answer is None:
                continue
            if answer.code != Answer.OK:
                raise RuntimeError(
                    f"Board must do {operation.name} at {address:#x}, "
                    f"not answer {Answer(answer.code).name}"
                )
            return answer.data
        raise TimeoutError(
            f"Board must answer within {self._seconds} s, not stay silent or garbled in "
            f"{_ATTEMPTS} attempts; it must be configured with a bitstream, and the port and its "
            "baud rate be the board's"
        )

    def _answer(self, tag: int) -> Frame | None:
        """Return the answer with that tag; None if it is damaged or does not come."""
        until = time.monotonic() + self._seconds
        while True:
            received = self._line.read(max(1, self._line.in_waiting))
            for frame in list(self._reader.feed(received)):
                if frame is None or frame.code == Answer.DAMAGED:
                    return None
                # Other frames answer an earlier request once more.
                if frame.tag == tag and frame.code in _ANSWERS:
                    return frame
            if time.monotonic() >= until:
                return None
