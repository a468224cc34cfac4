# SPDX-License-Identifier: Apache-2.0
"""The folder for other tools is whole, and its C compiles without a warning."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tritone.spec.machine import preset
from tritone_hw.ip.package import write_ip

FILES = {
    "README.md",
    "constraints/tritone.lpf",
    "constraints/tritone.sdc",
    "constraints/tritone.xdc",
    "litex/tritone_litex.py",
    "rtl/tritone.v",
    "sim/main.cpp",
    "software/tritone.h",
    "software/tritone_driver.c",
    "software/tritone_driver.h",
    "tritone.core",
    "vivado/package_ip.tcl",
}


def test_files(tmp_path: Path) -> None:
    """All files are there, with the clock that was asked for."""
    files = write_ip(preset("tiny"), tmp_path, mhz=80)
    assert {str(path.relative_to(tmp_path)) for path in files} == FILES
    assert all(path.is_file() for path in files)
    xdc = (tmp_path / "constraints" / "tritone.xdc").read_text()
    assert xdc == "create_clock -name clk -period 12.500 [get_ports clk]\n"
    lpf = (tmp_path / "constraints" / "tritone.lpf").read_text()
    assert lpf == 'FREQUENCY PORT "clk" 80 MHZ;\n'
    readme = (tmp_path / "README.md").read_text()
    for name in ("rtl/tritone.v", "vivado/package_ip.tcl", "tritone.core", "software/tritone.h"):
        assert name in readme
    assert "{" not in readme

    flags = ("-std=c99", "-Wall", "-Wextra", "-Wconversion", "-pedantic", "-Werror", "-c")
    source = tmp_path / "software" / "tritone_driver.c"
    subprocess.run(["gcc", *flags, source, "-o", "/dev/null"], check=True)


def test_what_is_refused(tmp_path: Path) -> None:
    """A clock that is none, and a part that would be a command of Tcl."""
    with pytest.raises(ValueError, match=r"^Clock must be between 0 and 1000 MHz, not 0$"):
        write_ip(preset("tiny"), tmp_path, mhz=0)
    with pytest.raises(ValueError, match=r"^Part must be letters, digits and -, not 'x \[exit\]'$"):
        write_ip(preset("tiny"), tmp_path, part="x [exit]")
    assert not list(tmp_path.iterdir())
