# SPDX-License-Identifier: Apache-2.0
"""``tritone estimate`` and ``tritone explore``: what they print, and one line for an error."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tritone.cli.app import main
from tritone.graph import Network

RESULTS = Path(__file__).resolve().parents[2] / "docs" / "results"


def refused(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    """Run a command that must end with exit code 2, and return its one line."""
    assert main([str(each) for each in arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    return line


def test_estimate(capsys: pytest.CaptureFixture[str]) -> None:
    """A preset on the default device, block by block."""
    assert main(["estimate", "tiny", "--results", str(RESULTS)]) == 0
    shown = capsys.readouterr().out
    words = ("Estimate of tiny for ecp5-85k", "array", "requantiser", "fits", "milliseconds")
    assert [word for word in words if word not in shown] == []


def test_estimate_of_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A machine of one's own."""
    (tmp_path / "mine.toml").write_text("rows = 16\ncolumns = 8\npixels = 1\n")
    assert main(["estimate", str(tmp_path / "mine.toml"), "--target", "ecp5-25k"]) == 0
    assert "Estimate of mine for ecp5-25k" in capsys.readouterr().out


def test_refused_estimates(capsys: pytest.CaptureFixture[str]) -> None:
    """Devices and families that there are not, and machines."""
    line = refused(capsys, "estimate", "tiny", "--target", "xc7-7z020")
    assert line == "error: Family of an estimate must be ecp5, not xc7"
    line = refused(capsys, "estimate", "tiny", "--target", "nowhere")
    assert line.startswith("error: Target must be one of ecp5-25k, ")
    line = refused(capsys, "estimate", "tiny", "--results", "nope")
    assert line == "error: Results must be a folder with hardware.json, not nope"
    line = refused(capsys, "estimate", "huge")
    assert line.startswith("error: Machine must be one of tiny, ")


@pytest.fixture
def run(tmp_path: Path, random_network: Callable[..., Network], spec: Any) -> Path:
    """A run folder with a small graph."""
    folder = tmp_path / "run"
    random_network((1, 4, 4), [spec(out=3, kernel=(4, 4), wide=True)]).save(folder / "graph")
    return folder


def test_explore(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The front of a run folder: printed, written, drawn, each machine a file that compiles."""
    build = tmp_path / "build"
    assert main(["explore", str(run), "--results", str(RESULTS), "--build", str(build)]) == 0
    shown = capsys.readouterr().out
    assert "Pareto front on ecp5-85k: run, post4" in shown
    folder = build / "explore" / "run-ecp5-85k"
    report = json.loads((folder / "front.json").read_text())
    assert (folder / "front.svg").read_text().startswith("<?xml")
    front = report["front"]
    assert front == sorted(front, key=lambda row: row["sites"])
    assert all(row["sites"] <= 83_640 for row in report["points"])
    for row in front:
        name = row["machine"]["name"]
        assert name in shown
        file = folder / f"{name}.toml"
        assert main(["compile", str(run), "--machine", str(file)]) == 0
        assert main(["estimate", str(file), "--results", str(RESULTS)]) == 0
        assert f"{row['sites']:,}" in capsys.readouterr().out


def test_refused_explorations(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Networks that are none, options without what they belong to, nothing that fits."""
    line = refused(capsys, "explore", "nothing")
    assert line.startswith("error: Network must be a run folder, a recipe (")
    assert line.endswith("not 'nothing'")
    line = refused(capsys, "explore", tmp_path)
    assert line.endswith(f"must be there; make it with: tritone export {tmp_path}")
    line = refused(capsys, "explore", run, "--processes", "2")
    assert line == (
        "error: Exploration must have --synthesise to have --processes, --cluster or --address"
    )
    line = refused(capsys, "explore", run, "--synthesise", "--address", "local")
    assert line == "error: Exploration must have --cluster to have --address"
    line = refused(capsys, "explore", run, "--target", "xc7-7z020")
    assert line == "error: Family of an estimate must be ecp5, not xc7"
    line = refused(capsys, "explore", run, "--results", tmp_path)
    assert line == f"error: Results must be a folder with hardware.json, not {tmp_path}"
    (tmp_path / "hardware.json").write_text("[]")
    line = refused(capsys, "explore", run, "--results", tmp_path)
    assert line == (
        "error: Results must have a machine placed on ecp5 for its clock, in "
        f"{tmp_path / 'hardware.json'}"
    )
    with monkeypatch.context() as elsewhere:
        elsewhere.chdir(tmp_path)
        line = refused(capsys, "explore", run)
    assert line == (
        "error: docs/results/hardware.json must be there for the clocks of placed machines; give "
        "its folder with --results"
    )
    line = refused(capsys, "explore", run, run, "--results", RESULTS)
    assert line == "error: Networks must have names of their own, not run twice"
