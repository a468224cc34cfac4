# SPDX-License-Identifier: Apache-2.0
"""tritone_sim.toolchain: what is missing is named with the command that installs it."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

import find_libpython
import pytest

from tritone_sim.toolchain import find_toolchain


def test_the_tools_of_this_machine_are_found() -> None:
    """Everything that a build calls exists and can be executed."""
    tools = find_toolchain(waves=False)
    for program in (tools.verilator, tools.compiler, tools.make):
        assert os.access(program, os.X_OK)
    assert any(line.startswith("verilator ") for line in tools.versions)


@pytest.mark.parametrize("missing", ["g++", "make"])
def test_a_missing_program_is_named(
    missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for program in {"g++", "make"} - {missing}:
        (tmp_path / program).symlink_to(shutil.which(program) or "")
    monkeypatch.setenv("PATH", str(tmp_path))
    name = missing.replace("+", r"\+")
    message = rf"^Simulation must find {name} on PATH; install it with: apt-get install g\+\+ make$"
    with pytest.raises(FileNotFoundError, match=message):
        find_toolchain(waves=False)


def test_missing_wave_headers_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A compiler that finds no header stands for a machine without liblz4-dev."""
    compiler = tmp_path / "g++"
    compiler.write_text('#!/bin/sh\n[ "$1" = --version ] && echo g++ 0 && exit 0\nexit 1\n')
    compiler.chmod(compiler.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    find_toolchain(waves=False)
    with pytest.raises(
        FileNotFoundError,
        match=r"^Simulation must find the header lz4.h; waves need it; "
        r"install it with: apt-get install liblz4-dev zlib1g-dev$",
    ):
        find_toolchain(waves=True)


def test_a_missing_python_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(find_libpython, "find_libpython", lambda: None)
    with pytest.raises(
        FileNotFoundError,
        match=r"^Simulation must find Python's shared library; "
        r"install it with: apt-get install libpython3-dev$",
    ):
        find_toolchain(waves=False)


def test_ccache_is_used_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its path goes to make; without it the variable is empty."""
    for program in ("g++", "make"):
        (tmp_path / program).symlink_to(shutil.which(program) or "")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "OBJCACHE=" in find_toolchain(waves=False).make_variables()
    cache = tmp_path / "ccache"
    cache.write_text("#!/bin/sh\nexit 0\n")
    cache.chmod(0o755)
    assert f"OBJCACHE={cache}" in find_toolchain(waves=False).make_variables()
