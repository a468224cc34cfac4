# SPDX-License-Identifier: Apache-2.0
"""tritone.spec.host_link: what both ends must agree on stays as it is."""

from __future__ import annotations

import re

from tritone.spec import host_link
from tritone.spec.host_link import Answer, Operation
from tritone.spec.render import markdown


def test_the_bits_of_version_1() -> None:
    """A board that is in the field speaks these; a change needs another LINK_VERSION."""
    assert host_link.LINK_VERSION == 1
    assert (host_link.END, host_link.ESCAPE) == (0xC0, 0xDB)  # RFC 1055
    assert host_link.ESCAPED == {0xC0: 0xDC, 0xDB: 0xDD}
    assert (host_link.CRC_BYTES, host_link.MAX_BEATS) == (4, 128)
    assert [(each.name, each.value) for each in Operation] == [
        ("IDENTIFY", 1),
        ("READ_MEMORY", 2),
        ("WRITE_MEMORY", 3),
        ("READ_REGISTER", 4),
        ("WRITE_REGISTER", 5),
    ]
    assert [(each.name, each.value) for each in Answer] == [
        ("OK", 128),
        ("DAMAGED", 129),
        ("UNKNOWN", 130),
        ("OUTSIDE", 131),
        ("REFUSED", 132),
    ]
    header = {"code": 3, "tag": 0x21, "beats": 0x0102, "address": 0x04050607}
    assert host_link.HEADER.pack(header) == 0x0405060701022103
    identity = {"version": 1, "damaged": 2, "memory_beats": 3, "clock_hz": 4}
    assert host_link.IDENTITY.pack(identity) == 4 << 64 | 3 << 32 | 2 << 16 | 1


def test_the_reference_has_the_frames() -> None:
    """docs/reference.md tells them bit by bit."""
    text = markdown()
    for name in ("frame_header", "board_identity", "Operation", "Answer"):
        assert re.search(rf"^### `{name}`", text, re.MULTILINE)
