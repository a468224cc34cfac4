# SPDX-License-Identifier: Apache-2.0
"""Arguments and options that several commands have, and exit codes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "FAILURE",
    "USER_ERROR",
    "BuildFolder",
    "DataFolder",
    "DeviceName",
    "MachineName",
    "RunFolder",
    "require_path",
]

FAILURE = 1
USER_ERROR = 2

RunFolder = Annotated[Path, typer.Argument(help="run folder, made by train", metavar="RUN")]
MachineName = Annotated[str, typer.Option("--machine", help="preset, or a .toml file")]
DataFolder = Annotated[Path, typer.Option("--data", help="folder of the data sets")]
DeviceName = Annotated[
    str, typer.Option("--device", help="cpu, cuda, or auto: cuda if it is there")
]
BuildFolder = Annotated[Path, typer.Option("--build", help="folder for what is generated")]


def require_path(path: Path, remedy: str) -> Path:
    """Return ``path``; raise FileNotFoundError with what makes it if it is not there."""
    if not path.exists():
        raise FileNotFoundError(f"{path} must be there; make it with: {remedy}")
    return path
