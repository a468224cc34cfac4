# SPDX-License-Identifier: Apache-2.0
"""A folder that one process works in at a time; nothing of it stays behind a process that dies."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["is_occupied", "occupied"]


@contextmanager
def occupied(folder: Path, wait: bool = False) -> Iterator[bool]:
    """Keep ``folder`` for this context; tell whether it is ours.

    It is made where it is not there, and goes again if nothing is put into it. Processes that call
    this see each other on one machine, and on a file system with locks.

    Parameters
    ----------
    wait : until the process that has it leaves it.
    """
    made = not folder.is_dir()
    folder.mkdir(parents=True, exist_ok=True)
    # The folder itself is locked, so that there is no file to be left over.
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(handle)
        if made and not any(folder.iterdir()):
            folder.rmdir()


def is_occupied(folder: Path) -> bool:
    """Return whether a process keeps ``folder``."""
    if not folder.is_dir():
        return False
    with occupied(folder) as free:
        return not free
