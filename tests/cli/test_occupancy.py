# SPDX-License-Identifier: Apache-2.0
"""Folders are kept by one process at a time."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from tritone.cli.occupancy import is_occupied, occupied

HOLD = """
import sys, time
from pathlib import Path
from tritone.cli.occupancy import occupied
with occupied(Path(sys.argv[1])) as mine:
    print(mine, flush=True)
    time.sleep(float(sys.argv[2]))
"""


def hold(folder: Path, seconds: float) -> subprocess.Popen[str]:
    """Start a process that keeps ``folder``, and return when it does."""
    command = [sys.executable, "-c", HOLD, str(folder), str(seconds)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "True\n"
    return process


def test_one_process_at_a_time(tmp_path: Path) -> None:
    """A second one is told so, until the first one is killed, which leaves nothing behind."""
    folder = tmp_path / "new"
    assert not is_occupied(folder)
    assert not folder.exists()
    process = hold(folder, 600)
    try:
        assert is_occupied(folder)
        with occupied(folder) as mine:
            assert not mine
    finally:
        process.kill()
        process.communicate()
    assert not is_occupied(folder)
    with occupied(folder) as mine:
        assert mine
        assert is_occupied(folder)
    assert not is_occupied(folder)
    assert list(folder.iterdir()) == []


def test_a_folder_that_is_made_for_nothing(tmp_path: Path) -> None:
    """It goes again; one that was there, or holds something, stays."""
    with occupied(tmp_path / "new"):
        assert (tmp_path / "new").is_dir()
    assert not (tmp_path / "new").exists()
    with occupied(tmp_path / "full"):
        (tmp_path / "full" / "file").touch()
    assert (tmp_path / "full" / "file").is_file()
    (tmp_path / "old").mkdir()
    with occupied(tmp_path / "old"):
        pass
    assert (tmp_path / "old").is_dir()


def test_waiting(tmp_path: Path) -> None:
    """Who waits has the folder behind the other one."""
    process = hold(tmp_path, 0.5)
    began = time.monotonic()
    with occupied(tmp_path, wait=True) as mine:
        assert mine
        process.communicate()
        assert process.returncode == 0
    assert time.monotonic() - began > 0.2
