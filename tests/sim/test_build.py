# SPDX-License-Identifier: Apache-2.0
"""tritone_sim.build: the cache never gives a stale or half-made model."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tritone_sim.build import build_model
from tritone_sim.control_file import Probe

VERILOG = r"""
module tritone(clk, rst, count);
  input clk;
  input rst;
  output [7:0] count;
  \tritone.engine  engine (.clk(clk), .rst(rst), .count(count));
endmodule

module \tritone.engine (clk, rst, count);
  input clk;
  input rst;
  output [7:0] count;
  reg [7:0] count = 8'h00;
  reg write_back_valid = 1'h0;
  reg hidden = 1'h0;
  always @(posedge clk) begin
    count <= rst ? 8'h00 : count + 8'h01;
    write_back_valid <= &count;
    hidden <= ^count;
  end
endmodule
"""
PROBES = (Probe(("engine",), "write_back_valid"),)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache of this module, so that the first build compiles Verilator's runtime too."""
    return tmp_path_factory.mktemp("verilator")


def build(cache: Path, verilog: str = VERILOG) -> Path:
    """Return the folder of the counter's model."""
    return build_model(verilog, "tritone", probes=PROBES, cache=cache).folder


def runs(folder: Path) -> bool:
    """Return whether the executable starts."""
    return not subprocess.run(
        [folder / "tritone", "--help"], capture_output=True, check=False
    ).returncode


def test_the_same_design_is_built_once(cache: Path) -> None:
    folder = build(cache)
    assert runs(folder)
    before = (folder / "tritone").stat().st_mtime_ns
    assert build(cache) == folder
    assert (folder / "tritone").stat().st_mtime_ns == before
    assert not [*folder.glob("*.o"), *folder.glob("*.gch")]


def test_another_design_is_another_build(cache: Path) -> None:
    """One constant of the Verilog is enough."""
    folder = build(cache, VERILOG.replace("8'h01", "8'h02"))
    assert folder != build(cache)
    assert runs(folder)


def test_a_killed_build_is_done_again(cache: Path) -> None:
    """Without the marker of a finished build, whatever else lies there is thrown away."""
    folder = build(cache)
    (folder / "finished.json").unlink()
    (folder / "tritone").write_bytes(b"half an executable")
    assert build(cache) == folder
    assert runs(folder)


def test_nothing_but_ports_and_probes_is_public(cache: Path) -> None:
    """What Verilator registers for the bench decides how fast the model is."""
    text = "".join(path.read_text() for path in build(cache).glob("Vtop__Syms*.cpp"))
    assert set(re.findall(r'varInsert\("(\w+)"', text)) == {
        "clk",
        "rst",
        "count",
        "write_back_valid",
    }


def test_a_failing_build_shows_the_log(cache: Path) -> None:
    with pytest.raises(RuntimeError, match=r"(?s)^Verilator build in .* failed:\n.*syntax error"):
        build(cache, VERILOG.replace("8'h01;", "8'h01"))


def test_a_cache_with_a_space_in_its_path_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"^Build folder must have a path without spaces, because of make, not '"
    ):
        build(tmp_path / "my build")
