# SPDX-License-Identifier: Apache-2.0
"""tritone.host.frames: bytes of a line, whole and damaged."""

from __future__ import annotations

import binascii
import struct
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tritone.host.frames import Frame, FrameReader

FRAMES = st.builds(
    Frame,
    code=st.integers(0, 255),
    tag=st.integers(0, 255),
    beats=st.integers(0, 65535),
    address=st.integers(0, 2**32 - 1),
    # Many of the bytes that are escaped.
    data=st.lists(st.sampled_from(b"\xc0\xdb\xdc\xdd\x00\x55"), max_size=5).map(
        lambda some: bytes(some * 8)
    ),
)


def test_the_bytes_of_a_frame() -> None:
    """By hand: END, header, data, CRC-32, END; both special bytes escaped."""
    frame = Frame(code=3, tag=0xC0, beats=1, address=0xDB08, data=bytes(range(8)))
    body = struct.pack("<BBHI", 3, 0xC0, 1, 0xDB08) + bytes(range(8))
    crc = struct.pack("<I", binascii.crc32(body))
    assert not {0xC0, 0xDB} & set(crc)
    escaped = b"\x03\xdb\xdc\x01\x00\x08\xdb\xdd\x00\x00" + bytes(range(8))
    assert frame.to_line() == b"\xc0" + escaped + crc + b"\xc0"


@given(st.lists(FRAMES, max_size=4), st.integers(1, 7))
def test_frames_come_back(frames: list[Frame], chunk: int) -> None:
    """Whatever they hold and however the line cuts them."""
    line = b"".join(frame.to_line() for frame in frames)
    reader = FrameReader()
    got = []
    for start in range(0, len(line), chunk):
        got += list(reader.feed(line[start : start + chunk]))
    assert got == frames


@given(FRAMES, st.data())
def test_a_wrong_bit_is_seen(frame: Frame, data: st.DataObject) -> None:
    """Nothing else comes of a frame with a wrong bit between its two END: CRC-32 finds each."""
    line = bytearray(frame.to_line())
    place = data.draw(st.integers(8, 8 * (len(line) - 1) - 1))
    line[place // 8] ^= 1 << place % 8
    assert frame not in (got := list(FrameReader().feed(bytes(line))))
    assert set(got) == {None}


@given(st.binary(max_size=40), FRAMES)
def test_what_came_before_is_forgotten(garbage: bytes, frame: Frame) -> None:
    """A frame is found behind anything."""
    assert list(FrameReader().feed(garbage + frame.to_line()))[-1] == frame


def test_nothing_is_no_frame() -> None:
    """An END too many does no harm; what is too short, or crooked, is damaged."""
    reader = FrameReader()
    assert list(reader.feed(b"\xc0\xc0\xc0")) == []
    assert list(reader.feed(b"\x01\xc0")) == [None]
    body = bytes(9)
    crc = binascii.crc32(body).to_bytes(4, "little")
    assert Frame.from_body(body + crc) is None
    good = Frame(code=0, tag=0, beats=0, address=0)
    assert Frame.from_body(bytes(8) + binascii.crc32(bytes(8)).to_bytes(4, "little")) == good
    assert list(reader.feed(good.to_line()[:-1] + b"\xdb\xc0")) == [None]


def test_data_are_beats() -> None:
    """A frame carries whole beats."""
    frame = Frame(code=0, tag=0, beats=0, address=0)
    with pytest.raises(ValueError, match=r"^Frame must carry a multiple of 8 bytes, not 3$"):
        replace(frame, data=bytes(3))
