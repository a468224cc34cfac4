# SPDX-License-Identifier: Apache-2.0
"""Errors are explained on one line."""

from __future__ import annotations

import typer

from tritone.cli.errors import REPORTED, explain


def test_a_missing_package_names_its_extra() -> None:
    """Of a known package; another one keeps its own message."""
    assert explain(ModuleNotFoundError("No module named 'ray'", name="ray")) == (
        "ray is missing; install it with: pip install -e '.[cluster]'"
    )
    assert explain(ModuleNotFoundError("No module named 'amaranth.lib'", name="amaranth.lib")) == (
        "amaranth is missing; install it with: pip install -e '.[hw]'"
    )
    assert explain(ModuleNotFoundError("No module named 'x'", name="x")) == "No module named 'x'"


def test_files_arguments_and_values() -> None:
    """A file is named before what is wrong with it; lines of a message are joined."""
    assert explain(FileNotFoundError(2, "No such file or directory", "a.toml")) == (
        "a.toml: No such file or directory"
    )
    assert explain(typer.BadParameter("must be small.")) == "Invalid value: must be small"
    for kind in (ValueError, RuntimeError):
        assert explain(kind("Thing must be\n  this, not that")) == "Thing must be this, not that"


def test_bugs_are_not_reported() -> None:
    """What no input can cause keeps its traceback."""
    assert not issubclass(KeyError, REPORTED)
    assert not issubclass(AssertionError, REPORTED)
