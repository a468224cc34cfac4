# SPDX-License-Identifier: Apache-2.0
"""The scripts: every family maps a memory, a sum and a product, block by block."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tritone.spec.device import Family
from tritone_hw.synthesis.blocks import cells
from tritone_hw.synthesis.script import NETLIST, STATISTICS, yosys_script
from tritone_hw.synthesis.tools import YOSYS, run_tool

DESIGN = """
module part(input clk, input [7:0] a, output reg [7:0] sum);
  always @(posedge clk) sum <= sum + a;
endmodule
module top(input clk, input we, input [8:0] at, input [7:0] a, output reg [15:0] y);
  wire [7:0] sum;
  part one(.clk(clk), .a(a), .sum(sum));
  (* no_rw_check *) reg [15:0] words [0:511];
  reg [15:0] word;
  always @(posedge clk) begin
    if (we) words[at] <= {sum, a};
    word <= words[at + 1];
    y <= word;
  end
endmodule
"""

# Block memories of 512 x 16 bits in each family, and the flip-flops of y and sum.
EXPECTED = {
    Family.ECP5: ({"DP16KD": 1}, "TRELLIS_FF"),
    Family.ICE40: ({"SB_RAM40_4K": 2}, "SB_DFF"),
    Family.XC7: ({"RAMB18E1": 1}, "FDRE"),
    Family.GOWIN: ({"DPX9B": 1}, "DFF"),
}


@pytest.mark.parametrize("family", Family, ids=lambda family: family.value)
def test_mapping(family: Family, tmp_path: Path) -> None:
    """The memory becomes block memory without flip-flops around it, and the block stays a block."""
    (tmp_path / "top.v").write_text(DESIGN)
    (tmp_path / "script.ys").write_text(yosys_script(family, "top.v", "top", ["part", "absent"]))
    log = tmp_path / "log"
    assert run_tool(YOSYS, ["-s", "script.ys"], tmp_path, log, lambda line: None) == 0
    statistics = json.loads((tmp_path / STATISTICS).read_text())
    assert {name.lstrip("\\") for name in statistics["modules"]} >= {"top", "part"}
    found = cells(statistics, "top")
    memories, flip_flop = EXPECTED[family]
    assert {name: found[name] for name in memories} == memories
    assert found[flip_flop] == 16 + 8
    netlist = json.loads((tmp_path / NETLIST).read_text())
    kinds = [cell["type"] for cell in netlist["modules"]["top"]["cells"].values()]
    assert kinds.count(flip_flop) == 16 + 8
    assert "part" not in kinds


# Long conditions that steer wide multiplexers.
LATE = """
module top(input clk, input [23:0] a, b, c, input [15:0] late, output reg [23:0] y);
  reg [23:0] left, right, held;
  reg [15:0] decide;
  always @(posedge clk) begin
    left <= a; right <= b; held <= c; decide <= late;
    if (^decide) y <= held;
    else if (&(left | right)) y <= left - 1;
    else if (left[7:0] == decide[7:0]) y <= right;
    else y <= y;
  end
endmodule
"""


def test_fast_logic_is_not_smaller(tmp_path: Path) -> None:
    """Only what is asked to be fast is mapped for the least delay, at any cost in cells."""
    counts = []
    for fast in (False, True):
        folder = tmp_path / str(fast)
        folder.mkdir()
        (folder / "top.v").write_text(LATE)
        script = yosys_script(Family.ECP5, "top.v", "top", [], fast=fast)
        assert ("abc9.D" in script) != fast
        (folder / "script.ys").write_text(script)
        assert run_tool(YOSYS, ["-s", "script.ys"], folder, folder / "log", lambda line: None) == 0
        counts.append(cells(json.loads((folder / STATISTICS).read_text()), "top")["LUT4"])
    assert counts[0] < counts[1]
