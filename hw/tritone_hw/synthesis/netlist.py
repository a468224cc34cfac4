# SPDX-License-Identifier: Apache-2.0
"""Verilog of a machine after synthesis, to be simulated in place of the machine's own.

The netlist is the one that place and route gets, carry chains of ECP5 trimmed. Yosys puts its own
models for the cells; block memories and ECP5's multipliers, of which it has none, are in ``cells``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tritone.spec.device import DEVICES, Family
from tritone.spec.machine import MachineConfig
from tritone_hw.accelerator import Accelerator
from tritone_hw.emit import TOP, convert
from tritone_hw.platform.target import Target
from tritone_hw.synthesis.mapping import map_verilog
from tritone_hw.synthesis.script import NETLIST
from tritone_hw.synthesis.tools import YOSYS, log_tail, run_tool

__all__ = ["modelled", "netlist_verilog"]

_CLOSED, _MODELLED = "closed.json", "modelled.v"
_INNER = "netlist"

# The family of a target, the models that yosys has of its cells, and its lookup tables with their
# pins, lowest first.
_FAMILIES = {Target.ECP5: Family.ECP5, Target.XC7: Family.XC7}
_LIBRARIES = {Target.ECP5: "+/ecp5/cells_sim.v", Target.XC7: "+/xilinx/cells_sim.v"}
_TABLES = {
    Target.ECP5: {"LUT4": ("A", "B", "C", "D", "Z")},
    Target.XC7: {f"LUT{n}": (*(f"I{pin}" for pin in range(n)), "O") for n in range(1, 7)},
}
# What the models in ``cells`` leave out: parameters that must have a value, pins that must be 0.
_FIXED: dict[str, tuple[dict[str, str | int], tuple[str, ...]]] = {
    "DP16KD": (
        {
            "REGMODE_A": "NOREG",
            "REGMODE_B": "NOREG",
            "CSDECODE_A": "0b000",
            "CSDECODE_B": "0b000",
            "CLKAMUX": "CLKA",
            "CLKBMUX": "CLKB",
        },
        ("RSTA", "RSTB", "CSA0", "CSA1", "CSA2", "CSB0", "CSB1", "CSB2"),
    ),
    "MULT18X18D": ({}, ("SOURCEA", "SOURCEB")),
} | dict.fromkeys(
    ("RAMB18E1", "RAMB36E1"),
    (
        {"DOA_REG": 0, "DOB_REG": 0, "RAM_EXTENSION_A": "NONE", "RAM_EXTENSION_B": "NONE"},
        ("RSTRAMARSTRAM", "RSTRAMB", "RSTREGARSTREG", "RSTREGB"),
    ),
)
# Parameters that say nothing about what a cell does here: of resets that never come, of places.
_MEANINGLESS = ("ASYNC_RESET_RELEASE", "RESETMODE", "GSR", "SRVAL_A", "SRVAL_B")


def netlist_verilog(
    machine: MachineConfig,
    target: Target,
    build: Path = Path("build"),
    watch: Callable[[str], None] = lambda stage: None,
) -> str:
    """Return the Verilog of the machine in the cells of ``target``, for simulation.

    Ports and the strobe ``write_back_valid`` of the engine are those of the machine's own Verilog.
    The netlist is mapped as for the area of a device, and kept in the same place.

    Parameters
    ----------
    machine : what to map.
    target : a family with cells of its own in the array.
    build : folder for what is generated.
    watch : is told the stage.

    Raises
    ------
    FileNotFoundError : yosys is not installed.
    ValueError : the target has no cells of its own.
    RuntimeError : yosys failed.
    """
    if target not in _FAMILIES:
        names = ", ".join(each.value for each in _FAMILIES)
        raise ValueError(f"Netlist must be of {names}, not {target.value}")
    YOSYS.version()
    watch("generate the Verilog")
    verilog = convert(Accelerator(machine), TOP, target)
    return modelled(
        verilog, TOP, machine.name, target, ("engine", "write_back_valid"), build, watch
    )


def modelled(
    verilog: str,
    top: str,
    name: str,
    target: Target,
    probe: tuple[str, str],
    build: Path,
    watch: Callable[[str], None] = lambda stage: None,
) -> str:
    """Return ``verilog`` as cells of a family, these as what their models say.

    The carry inputs that trimmed chains of ECP5 leave open are 1, which nothing may notice.

    Parameters
    ----------
    verilog, top : the design and its top module.
    name : for the folder of what is kept.
    probe : block of the area table and output of it, which a bench reads; it keeps its place.
    target, build, watch : as for ``netlist_verilog``, and so are the errors.
    """
    family = _FAMILIES[target]
    device = next(each for each in DEVICES.values() if each.family is family)
    mapping = map_verilog(verilog, top, f"{name}-bare", device, build=build, watch=watch)
    instance, signal = probe
    held = json.loads((mapping.folder / NETLIST).read_text())
    module = held["modules"][top]
    module["attributes"].pop("top", None)
    for cell, entry in module["cells"].items():
        _close(cell, entry)
    bits = module["netnames"][f"{instance}.{signal}"]["bits"]
    module["ports"][signal] = {"direction": "output", "bits": bits}
    watch("put models for the cells")
    with TemporaryDirectory(dir=mapping.folder, prefix=".models-") as place:
        folder = Path(place)
        (folder / _CLOSED).write_text(json.dumps({**held, "modules": {_INNER: module}}))
        _put_models(folder, target)
        netlist = (folder / _MODELLED).read_text()
    own = (Path(__file__).parent / "cells" / f"{target.value}.sv").read_text()
    return netlist + own + _shell(module, top, instance, signal)


def _put_models(folder: Path, target: Target) -> None:
    """Write the Verilog of the netlist with every cell but those of ``cells`` as its model."""
    script, log = folder / "models.ys", folder / "models.log"
    tables = "\n".join(_table(cell, pins) for cell, pins in _TABLES[target].items())
    script.write_text(
        "\n".join(
            (
                f"read_json {_CLOSED}",
                f"read_verilog -overwrite {_LIBRARIES[target]}",
                f"read_verilog -overwrite -icells <<tables\n{tables}\ntables",
                f"hierarchy -top {_INNER}",
                "proc",
                "flatten",
                "opt_expr",
                "opt_clean -purge",
                "rename -hide w:*",
                f"write_verilog -noattr {_MODELLED}",
            )
        )
    )
    if code := run_tool(YOSYS, ("-s", script.name), folder, log, lambda line: None):
        raise RuntimeError(f"Yosys must model the cells, but ended with {code}: {log_tail(log)}")


def _table(cell: str, pins: tuple[str, ...]) -> str:
    """Return a lookup table as yosys' own cell for one: a tenth of the Verilog of its models."""
    *inputs, output = pins
    return (
        f"module {cell}(input {', '.join(inputs)}, output {output});\n"
        f"  parameter [{(1 << len(inputs)) - 1}:0] INIT = 0;\n"
        f"  \\$lut #(.WIDTH({len(inputs)}), .LUT(INIT)) cell (\n"
        f"    .A({{{', '.join(reversed(inputs))}}}), .Y({output}));\n"
        "endmodule"
    )


def _close(name: str, cell: dict[str, Any]) -> None:
    """Tie what a cell leaves open, and leave out what its model has no word for.

    Raises
    ------
    ValueError : the cell is used in a way that its model does not cover.
    """
    connections, parameters = cell["connections"], cell["parameters"]
    if cell["type"] == "CCU2C":
        for pin, bits in (("CIN", ["1"]), ("COUT", [])):
            if connections[pin] == ["x"]:
                connections[pin] = bits
    if cell["type"] not in _FIXED:
        return
    values, pins = _FIXED[cell["type"]]
    for key in list(parameters):
        value = parameters[key]
        if key in values:
            found = value if isinstance(values[key], str) else int(value, 2)
            if found != values[key]:
                raise ValueError(f"{key} of {name} must be {values[key]}, not {found}")
        elif key.startswith("INIT"):
            if "1" in value:
                raise ValueError(f"{key} of {name} must be of zeros, not {value}")
        elif key not in _MEANINGLESS:
            continue
        del parameters[key]
    for pin in pins:
        if set(connections.get(pin, "0")) != {"0"}:
            raise ValueError(f"{pin} of {name} must be 0, not a signal")


def _shell(module: dict[str, Any], top: str, instance: str, signal: str) -> str:
    """Return modules around the netlist that are named as those of the design."""
    ports = {port: each for port, each in module["ports"].items() if port != signal}
    lines = [
        f"  {each['direction']} wire [{len(each['bits']) - 1}:0] {port};"
        for port, each in ports.items()
    ]
    pins = ", ".join(f".{port}({port})" for port in ports)
    inner = f"\\{top}.{instance} "
    return "\n".join(
        (
            f"module {inner}({signal});",
            f"  input wire {signal};",
            "endmodule",
            f"module {top}({', '.join(ports)});",
            *lines,
            f"  wire {signal};",
            f"  {_INNER} {_INNER} ({pins}, .{signal}({signal}));",
            f"  {inner} {instance} (.{signal}({signal}));",
            "endmodule",
            "",
        )
    )
