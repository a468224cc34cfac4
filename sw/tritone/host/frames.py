# SPDX-License-Identifier: Apache-2.0
"""Frames as bytes of a line, on the host's side (``tritone.spec.host_link``)."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from tritone.spec.host_link import CRC_BYTES, END, ESCAPE, ESCAPED, HEADER
from tritone.spec.machine import BEAT_BYTES

__all__ = ["Frame", "FrameReader"]

_PLAIN = {second: plain for plain, second in ESCAPED.items()}


@dataclass(frozen=True, kw_only=True)
class Frame:
    """A frame.

    Parameters
    ----------
    code : an Operation or an Answer.
    tag, beats, address : the other fields of the header.
    data : what follows it; a multiple of 8 bytes.
    """

    code: int
    tag: int
    beats: int
    address: int
    data: bytes = b""

    def __post_init__(self) -> None:
        if len(self.data) % BEAT_BYTES:
            raise ValueError(
                f"Frame must carry a multiple of {BEAT_BYTES} bytes, not {len(self.data)}"
            )

    def to_line(self) -> bytes:
        """Return the bytes of the line, an END at either side."""
        fields = {field.name: getattr(self, field.name) for field in HEADER.fields}
        body = HEADER.pack(fields).to_bytes(HEADER.bits // 8, "little") + self.data
        body += zlib.crc32(body).to_bytes(CRC_BYTES, "little")
        line = bytearray([END])
        for byte in body:
            line += bytes([ESCAPE, ESCAPED[byte]]) if byte in ESCAPED else bytes([byte])
        line.append(END)
        return bytes(line)

    @classmethod
    def from_body(cls, body: bytes) -> Frame | None:
        """Return the frame between two END, escapes resolved; None if it is damaged."""
        head = HEADER.bits // 8
        content, checksum = body[:-CRC_BYTES], body[-CRC_BYTES:]
        if len(content) < head or len(content) % BEAT_BYTES:
            return None
        if zlib.crc32(content).to_bytes(CRC_BYTES, "little") != checksum:
            return None
        fields = HEADER.unpack(int.from_bytes(content[:head], "little"))
        return cls(**fields, data=content[head:])


class FrameReader:
    """Finds the frames in the bytes that a line gives, whatever stands between them."""

    def __init__(self) -> None:
        self._body = bytearray()
        self._escaped = self._wrong = False

    def feed(self, received: bytes) -> Iterator[Frame | None]:
        """Yield what ends within ``received``: frames, and None for each damaged one."""
        for byte in received:
            if byte == END:
                body, wrong = bytes(self._body), self._wrong or self._escaped
                self._body.clear()
                self._escaped = self._wrong = False
                if body or wrong:
                    yield None if wrong else Frame.from_body(body)
            elif self._escaped:
                self._escaped = False
                self._wrong |= byte not in _PLAIN
                self._body.append(_PLAIN.get(byte, 0))
            elif byte == ESCAPE:
                self._escaped = True
            else:
                self._body.append(byte)
