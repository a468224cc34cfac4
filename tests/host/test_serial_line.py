# SPDX-License-Identifier: Apache-2.0
"""tritone.host.serial_line: ports that are there, and ports that are not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

pytest.importorskip("serial", reason="pyserial is missing: pip install -e '.[board]'")

from tritone.host.serial_line import open_line


def test_bytes_go_both_ways() -> None:
    """Over a terminal, whose other end is ours; all bytes, as they are."""
    ours, theirs = os.openpty()
    every = bytes(range(256))
    with open_line(os.ttyname(theirs)) as line:
        line.write(every)
        assert os.read(ours, 256) == every
        os.write(ours, every)
        got = b""
        while len(got) < 256:
            got += line.read(max(1, line.in_waiting))
        assert got == every
        assert line.read(1) == b""
    os.close(ours)
    os.close(theirs)


def test_what_is_no_port(tmp_path: Path) -> None:
    """The message says what was wrong and what there is."""
    message = (
        rf"^Port must be a serial port that opens at 1000000 baud, not {tmp_path}/none "
        r"\(No such file or directory\); there are: .+$"
    )
    with pytest.raises(ValueError, match=message), open_line(f"{tmp_path}/none"):
        pass
    (tmp_path / "file").write_text("")
    message = r"^Port must be a serial port that opens at 9600 baud, not \S+file \(.+\); there are"
    with pytest.raises(ValueError, match=message), open_line(str(tmp_path / "file"), 9600):
        pass
