# SPDX-License-Identifier: Apache-2.0
"""tritone_hw.synthesis.bitstream: a file that configures a device, of a small design."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tritone.spec.area import Area
from tritone.spec.machine import preset
from tritone_hw.board.board_top import BoardDesign
from tritone_hw.board.catalog import board
from tritone_hw.synthesis.bitstream import build_bitstream
from tritone_hw.synthesis.placement import Unroutable

# The light of a ULX3S blinks; the module stands where the accelerator would.
BLINK = BoardDesign(
    top="top",
    verilog=r"""
module top(input clk, output led);
  \top.hosted hosted (.clk(clk), .led(led));
endmodule
module \top.hosted (input clk, output led);
  wire [11:0] count;
  \top.hosted.accelerator accelerator (.clk(clk), .count(count));
  assign led = count[11];
endmodule
module \top.hosted.accelerator (input clk, output reg [11:0] count);
  initial count = 0;
  always @(posedge clk) count <= count + 1;
endmodule
""",
    constraints=(
        'LOCATE COMP "clk" SITE "G2";\nIOBUF PORT "clk" IO_TYPE=LVCMOS33;\n'
        'LOCATE COMP "led" SITE "B2";\nIOBUF PORT "led" IO_TYPE=LVCMOS33;\n'
        'FREQUENCY PORT "clk" 25000000.0 HZ;\n'
    ),
    clock_hz=25_000_000,
    speed=6,
)
# Configuration of an ECP5: the preamble, and VERIFY_ID with the identifier of an LFE5U-85 (Lattice
# FPGA-TN-02039).
PREAMBLE = b"\xff\xff\xbd\xb3"
VERIFY_ID_85 = b"\xe2\x00\x00\x00\x41\x11\x30\x43"


def test_a_bitstream(tmp_path: Path) -> None:
    """It is for the board's device; what it takes is told; a clock too fast for it is refused."""
    ulx3s, tiny = board("ulx3s_85f"), preset("tiny")
    stages: list[str] = []
    arguments = {"seeds": (1,), "build": tmp_path, "watch": stages.append}
    made = build_bitstream(BLINK, tiny, ulx3s, **arguments)
    content = made.path.read_bytes()
    assert made.path == tmp_path / "board" / "tiny-ulx3s_85f.bit"
    assert PREAMBLE in content[:200]
    assert VERIFY_ID_85 in content[:300]
    assert made.clock_hz == 25_000_000
    best = made.synthesis.best
    assert best is not None
    assert 25 < best.fmax_mhz < 1000
    assert made.synthesis.mapped.ff == 12
    assert made.synthesis.wrapper == Area()
    assert stages[-1] == "pack the bitstream"
    assert any(stage.startswith("seed 1: ") for stage in stages)

    # A pin that the package does not have is the tool's to refuse.
    wrong = replace(BLINK, constraints=BLINK.constraints.replace('"B2"', '"ZZ9"'))
    with pytest.raises(Unroutable, match=r"^Design must be routable on ecp5-85k, but .*ZZ9"):
        build_bitstream(wrong, tiny, ulx3s, **arguments)
    message = (
        r"^Machine tiny must reach the 5000 MHz of ulx3s_85f, not [\d.]+ MHz; "
        r"try other --seeds or a smaller machine$"
    )
    with pytest.raises(ValueError, match=message):
        build_bitstream(replace(BLINK, clock_hz=5_000_000_000), tiny, ulx3s, **arguments)
