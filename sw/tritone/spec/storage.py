# SPDX-License-Identifier: Apache-2.0
"""Files and folders written whole or not at all; files read with a line about what is wrong."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

__all__ = ["read_json", "whole_folder", "write_atomically", "write_json"]

T = TypeVar("T", dict[Any, Any], list[Any])

_JSON_NAMES = {dict: "an object", list: "an array"}


def read_json(path: Path, what: str, kind: type[T]) -> T:
    """Return the value in a JSON file, of that ``kind``: dict or list.

    Parameters
    ----------
    what : the file is, the first word of a message.

    Raises
    ------
    OSError : it is missing.
    ValueError : it is damaged, or holds something else.
    """
    try:
        value: T = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{what} {path} must be JSON, not damaged: {error}") from error
    if type(value) is not kind:  # JSON makes no subclasses of them
        raise ValueError(f"{what} {path} must hold {_JSON_NAMES[kind]}, not {value!r}")
    return value


def write_atomically(path: Path, data: bytes) -> None:
    """Write ``data`` to a temporary name beside ``path`` and rename it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON, whole or not at all."""
    write_atomically(path, (json.dumps(value, indent=2) + "\n").encode())


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Give a folder beside ``path`` to fill, and rename it at the end; on an error it is removed.

    For what is always the same under one ``path``: where another process was faster its folder
    stays, and this one goes.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Processes of several machines may share the folder, so that a process number would not do.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    temporary.mkdir()
    try:
        yield temporary
        try:
            temporary.rename(path)
        except OSError:
            if not path.is_dir():
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
