# SPDX-License-Identifier: Apache-2.0
"""Blocks that are cut out of a machine and mapped alone take what they take within it."""

from __future__ import annotations

from pathlib import Path

from counted_design import Design

from tritone.spec.area import Area
from tritone.spec.device import device
from tritone.spec.machine import preset
from tritone_hw.emit import convert
from tritone_hw.platform.target import Target
from tritone_hw.synthesis.block_mapping import cut_blocks, machine_blocks, map_block
from tritone_hw.synthesis.blocks import MODULES, block_of
from tritone_hw.synthesis.mapping import map_component

DESIGN = """module top(a);
  input a;
  \\top.accelerator  accelerator (.a(a));
endmodule

module \\top.accelerator (a$17 , clk);
  input a$17 ;
  input clk;
endmodule

(* keep = 1 *)
module \\top.accelerator.engine (clk, x$12 );
  input clk;
  wire clk;
  output [3:0] x$12 ;
  reg [3:0] y$40 ;
  \\top.accelerator.engine.pool  pool (.clk(clk), .z$9 (x$12 ));
endmodule

module \\top.accelerator.engine.delay (clk);
  input clk;
endmodule

module \\top.accelerator.engine.pool (clk, z$9 );
  input clk;
  output [3:0] z$9 ;
  \\top.accelerator.engine.pool.part  part (.clk(clk));
endmodule

module \\top.accelerator.engine.pool.part (clk);
  input clk;
endmodule
"""


def test_blocks_are_cut() -> None:
    """A block has all that is in it; blocks within are boxes; its numbers begin at 0."""
    blocks = {block.path: block for block in cut_blocks(DESIGN, "top.accelerator")}
    assert list(blocks) == ["engine", "engine.pool"]
    assert blocks["engine"].apart == ("top.accelerator.engine.pool",)
    assert blocks["engine"].verilog == (
        "(* keep = 1 *)\nmodule \\top.accelerator.engine (clk, x$0 );\n"
        "  input clk;\n  wire clk;\n  output [3:0] x$0 ;\n  reg [3:0] y$1 ;\n"
        "  \\top.accelerator.engine.pool  pool (.clk(clk), .z$2 (x$0 ));\nendmodule\n"
        "module \\top.accelerator.engine.delay (clk);\n  input clk;\nendmodule\n"
        "(* blackbox *)\nmodule \\top.accelerator.engine.pool (clk, z$2 );\n"
        "  input clk;\n  output [3:0] z$2 ;\nendmodule\n"
    )
    pool = blocks["engine.pool"]
    assert pool.apart == ()
    assert pool.verilog.count("module ") == 2
    assert "z$0" in pool.verilog


def test_equal_blocks_have_equal_texts() -> None:
    """Numbers that Amaranth gives all over a machine make no difference."""
    other = DESIGN.replace("z$9", "z$77")
    first, second = (cut_blocks(text, "top.accelerator") for text in (DESIGN, other))
    assert [block.digest for block in first] == [block.digest for block in second]
    assert first[0].digest != first[1].digest


def test_blocks_of_a_machine() -> None:
    """They are those of the table of a synthesis."""
    paths = [block.path for block in machine_blocks(preset("tiny"))]
    without = {"engine.terms_memory", "engine.code_unpacker"}
    assert set(paths) == set(MODULES) - without
    assert len(paths) == len(set(paths))


def test_blocks_alone_take_what_they_take_together(tmp_path: Path) -> None:
    """Cells of each block, mapped in the whole design by ``synth`` and one by one."""
    place = device("ecp5-85k")
    whole = map_component(
        Design(product=True), "small", place, build=tmp_path, watch=lambda _: None
    )
    verilog = convert(Design(product=True), "top", Target.ECP5)
    alone: dict[str, Area] = {}
    for block in cut_blocks(verilog, "top.accelerator"):
        name = block_of(block.path)
        area = map_block(block, tmp_path, lambda _: None)
        alone[name] = alone.get(name, Area()) + area
        # Nothing is mapped twice.
        marker = next((tmp_path / "synth" / "blocks").glob(f"{block.path}-*/mapped.json"))
        written = marker.stat().st_mtime_ns
        assert map_block(block, tmp_path, lambda _: None) == area
        assert marker.stat().st_mtime_ns == written
    assert alone == {name: whole.blocks[name] for name in alone}
    assert set(alone) == {"ports", "engine", "memories"}
    assert (alone["memories"].bram, alone["engine"].dsp) == (2, 1)
