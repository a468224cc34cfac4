# SPDX-License-Identifier: Apache-2.0
"""Machines from presets and TOML files."""

from __future__ import annotations

from pathlib import Path

import pytest

from tritone.cli.machine_file import load_machine
from tritone.spec.machine import PRESETS, MachineConfig


def test_presets_by_name() -> None:
    """A name without .toml is a preset."""
    assert load_machine("demo") is PRESETS["demo"]


def test_a_file(tmp_path: Path) -> None:
    """A file gives the parameters; the machine is called like it where it has no name."""
    path = tmp_path / "mine.toml"
    path.write_text("rows = 16\ncolumns = 8\npixels = 2\nweight_words = 2048\n")
    assert load_machine(str(path)) == MachineConfig(
        name="mine", rows=16, columns=8, pixels=2, weight_words=2048
    )
    path.write_text('rows = 8\ncolumns = 8\npixels = 1\nrequantizer = "half_octave"\n')
    assert load_machine(str(path)).fingerprint == PRESETS["tiny_half"].fingerprint
    path.write_text('name = "other"\nrows = 16\ncolumns = 8\npixels = 2\n')
    assert load_machine(str(path)).name == "other"


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("rows = ", ValueError, r"^Machine .*mine.toml must be TOML: "),
        ("row = 8", ValueError, r"^Machine key must be one of name, rows, .*, not 'row'$"),
        ("rows = 8\npixels = 1", ValueError, r"^Machine must have the key columns$"),
        ("rows = 9\ncolumns = 8\npixels = 1", ValueError, r"^rows must be a power of two in 8"),
        ("rows = 8.0\ncolumns = 8\npixels = 1", TypeError, r"^rows must be an integer, not 8.0$"),
        (
            "name = 3\nrows = 8\ncolumns = 8\npixels = 1",
            TypeError,
            r"^name must be a string, not 3",
        ),
        (
            'name = "a/b"\nrows = 8\ncolumns = 8\npixels = 1',
            ValueError,
            r"^name must be of letters",
        ),
    ],
)
def test_bad_files(tmp_path: Path, text: str, error: type[Exception], message: str) -> None:
    """Each mistake has its message."""
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(error, match=message):
        load_machine(str(path))


def test_names_that_are_nothing() -> None:
    """Neither a preset nor a file."""
    with pytest.raises(
        ValueError, match=r"^Machine must be one of tiny, .* or a .toml file, not 'x'"
    ):
        load_machine("x")
    with pytest.raises(
        FileNotFoundError, match=r"^Machine must be a file that is there, not x.toml"
    ):
        load_machine("x.toml")
