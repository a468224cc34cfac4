# SPDX-License-Identifier: Apache-2.0
"""Choices take a LUT4 for two inputs on an ECP5, compute the same, and are packed by nextpnr."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tritone.spec.device import Family, device
from tritone_hw.synthesis.mapping import Mapping, map_verilog
from tritone_hw.synthesis.placement import Algorithms, place
from tritone_hw.synthesis.script import NETLIST, STATISTICS, yosys_script
from tritone_hw.synthesis.tools import YOSYS, run_tool
from tritone_hw.synthesis.wide_multiplexers import close_leaves, count_leaves

BITS = 8


def by_index(name: str, inputs: int) -> str:
    """Return a module that chooses one of the words by its number."""
    select = (inputs - 1).bit_length()
    return f"""
module {name}(input [{inputs * BITS - 1}:0] words, input [{select - 1}:0] which,
  output [{BITS - 1}:0] word);
  assign word = words[{BITS} * which +: {BITS}];
endmodule"""


def by_case(name: str, inputs: int) -> str:
    """Return the same as Amaranth writes the choice of an Array."""
    select = (inputs - 1).bit_length()
    cases = "\n".join(
        f"    {select}'d{n}: word = words[{n * BITS + BITS - 1}:{n * BITS}];" for n in range(inputs)
    )
    return f"""
module {name}(input [{inputs * BITS - 1}:0] words, input [{select - 1}:0] which,
  output reg [{BITS - 1}:0] word);
  always @* begin
    word = 0;
    casez (which)
{cases}
    endcase
  end
endmodule"""


def mapped(design: str, where: Path) -> Mapping:
    """Map a design as a machine is mapped."""
    return map_verilog(
        design, "top.none", "design", device("ecp5-25k"), build=where, watch=lambda stage: None
    )


def kinds(mapping: Mapping) -> list[str]:
    """Return the kind of each cell of the netlist."""
    netlist = json.loads((mapping.folder / NETLIST).read_text())
    return [cell["type"] for cell in netlist["modules"]["top"]["cells"].values()]


@pytest.mark.parametrize("form", [by_index, by_case])
def test_tables_of_a_choice(form: Any, tmp_path: Path) -> None:
    """Half as many LUT4 as there are inputs, and nothing else that takes a site."""
    names = {4: "four", 8: "eight", 16: "sixteen"}
    instances = "\n".join(
        f"  {name} c{n}(.words(words[{n * BITS - 1}:0]), .which(which{n}), .word(word{n}));"
        for n, name in names.items()
    )
    design = (
        "".join(form(name, n) for n, name in names.items())
        + f"""
module top(input [127:0] words, input [1:0] which4, input [2:0] which8, input [3:0] which16,
  output [7:0] word4, word8, word16);
{instances}
endmodule"""
    )
    (tmp_path / "top.v").write_text(design)
    script = yosys_script(Family.ECP5, "top.v", "top", names.values())
    (tmp_path / "script.ys").write_text(script)
    code = run_tool(YOSYS, ["-s", "script.ys"], tmp_path, tmp_path / "log", lambda line: None)
    assert code == 0
    modules = json.loads((tmp_path / STATISTICS).read_text())["modules"]
    found = {name.lstrip("\\"): held["num_cells_by_type"] for name, held in modules.items()}
    assert found["four"] == {"LUT4": 2 * BITS, "PFUMX": BITS}
    assert found["eight"] == {"LUT4": 4 * BITS, "PFUMX": 2 * BITS, "L6MUX21": BITS}
    assert found["sixteen"] == {"LUT4": 8 * BITS, "PFUMX": 4 * BITS, "L6MUX21": 3 * BITS}


# Choices of words, of a constant, of what a LUT4 does not hold, of codes, and a shift.
MIXED = (
    by_case("eight", 8)
    + """
module top(input [63:0] words, input [2:0] which, input [1:0] other,
  output [7:0] eight, four, less, shifted, mixed, output reg [3:0] code);
  eight e(.words(words), .which(which), .word(eight));
  wire [31:0] low = words[31:0];
  assign four = low[8 * other +: 8];
  wire [63:0] padded = {16'hff00, words[47:0]};
  assign less = padded[8 * {which[0], other} +: 8];
  assign shifted = words[7:0] >> which;
  wire [7:0] a = words[39:32], b = words[47:40], c = words[55:48], d = words[63:56];
  wire [31:0] pairs = {a, b, a & b | c & d, a ^ b ^ c ^ d};
  assign mixed = pairs[8 * other +: 8];
  always @*
    case (which)
      1: code = 4; 2: code = {words[2:0], other[0]}; 3: code = words[3:0]; 5: code = words[7:4];
      default: code = {other, other};
    endcase
endmodule"""
)


def test_a_choice_computes_the_same(tmp_path: Path) -> None:
    """The netlist equals the design for all inputs, and nextpnr packs it."""
    mapping = mapped(MIXED, tmp_path)
    found = kinds(mapping)
    assert {"PFUMX", "L6MUX21"} <= set(found)
    netlist = json.loads((mapping.folder / NETLIST).read_text())
    assert any(name.endswith("LUT_LUT4") for name in netlist["modules"]["top"]["cells"])
    assert close_leaves(netlist) == [], "each multiplexer has tables of its own"
    assert sum(area.sites for area in mapping.blocks.values()) == found.count("LUT4")
    (mapping.folder / "proof.ys").write_text(
        f"""
read_json {NETLIST}
rename top netlist
read_verilog -overwrite +/ecp5/cells_sim.v
read_verilog top.v
rename top design
setattr -mod -unset top design netlist
hierarchy
proc
flatten
miter -equiv -flatten -make_outputs design netlist miter
sat -verify -prove trigger 0 miter
"""
    )
    log = mapping.folder / "proof.log"
    assert run_tool(YOSYS, ["-s", "proof.ys"], mapping.folder, log, lambda line: None) == 0
    assert "SAT proof finished - no model found: SUCCESS!" in log.read_text()


def test_a_choice_is_packed(tmp_path: Path) -> None:
    """Placed, the tables take as many sites as there are, the multiplexers behind them none."""
    registers = """
module top(input clk, input [63:0] words, input [2:0] which, input [1:0] other,
  output reg [43:0] y);
  wire [43:0] found;
  reg [68:0] held;
  mixed m(.words(held[63:0]), .which(held[66:64]), .other(held[68:67]),
    .eight(found[7:0]), .four(found[15:8]), .less(found[23:16]),
    .shifted(found[31:24]), .mixed(found[39:32]), .code(found[43:40]));
  always @(posedge clk) begin
    held <= {other, which, words};
    y <= found;
  end
endmodule"""
    mapping = mapped(MIXED.replace("module top", "module mixed") + registers, tmp_path)
    found = kinds(mapping)
    assert found.count("L6MUX21") >= BITS
    target, stages = device("ecp5-25k"), list[str]()
    netlist = mapping.folder / NETLIST
    placed = place(target, netlist, seed=1, algorithms=Algorithms(), watch=stages.append)
    constants = 1  # the table from which nextpnr takes constants
    assert placed.area.sites == found.count("LUT4") + constants


def cell(kind: str, outputs: str, **connections: list[int | str]) -> dict[str, Any]:
    """Return a cell of a netlist; ``outputs`` are the names of its output pins."""
    directions = {pin: "output" if pin in outputs.split() else "input" for pin in connections}
    return {
        "type": kind,
        "parameters": {"INIT": "0110100110010110"} if kind == "LUT4" else {},
        "port_directions": directions,
        "connections": connections,
    }


def table(output: int) -> dict[str, Any]:
    """Return a LUT4 of inputs 2 to 5."""
    return cell("LUT4", "Z", A=[2], B=[3], C=[4], D=[5], Z=[output])


def netlist_of(**cells: dict[str, Any]) -> dict[str, Any]:
    """Return a netlist of inputs 2 to 5 and output 30."""
    ports = {
        "a": {"direction": "input", "bits": [2, 3, 4, 5]},
        "y": {"direction": "output", "bits": [30]},
    }
    return {"modules": {"top": {"ports": ports, "cells": cells}}}


def test_a_leaf_that_is_no_table() -> None:
    """Constants and inputs pass through a LUT4; one read elsewhere is copied; others stay."""
    held = netlist_of(
        own=table(10),
        shared=table(11),
        one=cell("PFUMX", "Z", BLUT=[10], ALUT=[11], C0=[2], Z=[12]),
        two=cell("PFUMX", "Z", BLUT=["1"], ALUT=[11], C0=[3], Z=[13]),
        three=cell("PFUMX", "Z", BLUT=[4], ALUT=["0"], C0=[13], Z=[14]),
        top=cell("L6MUX21", "Z", D0=[12], D1=[14], SD=[5], Z=[30]),
    )
    added = close_leaves(held)
    assert added == ["one_ALUT_LUT4", "two_BLUT_LUT4", "three_ALUT_LUT4", "three_BLUT_LUT4"]
    cells = held["modules"]["top"]["cells"]
    new = {name: cells[name] for name in added}
    assert [each["type"] for each in new.values()] == ["LUT4"] * 4
    copy = new["one_ALUT_LUT4"]
    assert copy["parameters"] == cells["shared"]["parameters"]
    assert [copy["connections"][pin] for pin in "ABCD"] == [[2], [3], [4], [5]]
    inits = {name: each["parameters"]["INIT"] for name, each in new.items()}
    assert inits["two_BLUT_LUT4"] == "1" * 16
    assert inits["three_ALUT_LUT4"] == "0" * 16
    assert (inits["three_BLUT_LUT4"], new["three_BLUT_LUT4"]["connections"]["A"]) == ("10" * 8, [4])
    leaves = [
        cells[mux]["connections"][pin][0]
        for mux in ("one", "two", "three")
        for pin in ("ALUT", "BLUT")
    ]
    assert len(set(leaves)) == 6
    outputs = [each["connections"]["Z"][0] for each in cells.values()]
    assert len(set(outputs)) == len(outputs)
    assert set(leaves) <= {cells[n]["connections"]["Z"][0] for n in ("own", "shared", *added)}
    assert close_leaves(held) == []


def test_an_l6mux21_of_something_else() -> None:
    """What no slice holds is refused."""
    held = netlist_of(own=table(10), top=cell("L6MUX21", "Z", D0=[10], D1=[10], SD=[5], Z=[30]))
    with pytest.raises(ValueError, match=r"^D0 of top must be a multiplexer's, not of LUT4$"):
        close_leaves(held)


def test_where_leaves_are_counted() -> None:
    """With the module that the cell stands in, the innermost that kept its boundary."""
    modules: dict[str, Any] = {
        "\\top": {"num_cells_by_type": {}},
        "\\top.accelerator": {"num_cells_by_type": {"LUT4": 5}},
        "\\top.accelerator.dma": {"num_cells_by_type": {}},
    }
    added = ["accelerator.dma.unpacker.a_ALUT_LUT4", "$flatten\\accelerator.\\dmac.$b", "c"]
    count_leaves({"modules": modules}, "top", added)
    found = {name: held["num_cells_by_type"] for name, held in modules.items()}
    assert found == {
        "\\top": {"LUT4": 1},
        "\\top.accelerator": {"LUT4": 6},
        "\\top.accelerator.dma": {"LUT4": 1},
    }
