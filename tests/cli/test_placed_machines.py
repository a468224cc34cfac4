# SPDX-License-Identifier: Apache-2.0
"""The table of placed machines is found where it is."""

from __future__ import annotations

import json
import tomllib
from importlib import resources
from pathlib import Path

import pytest

from tritone.cli.placed_machines import HARDWARE, RESULTS, placed_machines

ROOT = Path(__file__).resolve().parents[2]


def test_given_default_and_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that is given must have the table; without one it may be nowhere."""
    monkeypatch.chdir(tmp_path)
    assert placed_machines(None) is None
    with pytest.raises(
        ValueError, match=r"^Results must be a folder with hardware\.json, not here$"
    ):
        placed_machines(Path("here"))
    for folder, name in ((Path("here"), "given"), (RESULTS, "default")):
        folder.mkdir(parents=True)
        (folder / HARDWARE).write_text(json.dumps([{"machine": name}]))
    assert placed_machines(Path("here")) == [{"machine": "given"}]
    assert placed_machines(None) == [{"machine": "default"}]


def test_a_wheel_has_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where its build puts the table, of which there is one in the source, it is found."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    made = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    ((source, place),) = made.items()
    assert ROOT / source == ROOT / RESULTS / HARDWARE
    wheel = tmp_path / "wheel"
    (wheel / place).parent.mkdir(parents=True)
    (wheel / place).write_bytes((ROOT / source).read_bytes())
    monkeypatch.setattr(resources, "files", lambda package: wheel.joinpath(*package.split(".")))
    monkeypatch.chdir(tmp_path)
    assert placed_machines(None) == json.loads((ROOT / source).read_text(encoding="utf-8"))
