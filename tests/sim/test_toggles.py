# SPDX-License-Identifier: Apache-2.0
"""Toggles of registers, counted from SAIF."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tritone_sim.runner import Trace
from tritone_sim.toggles import count_toggles, measure_toggles

VERILOG = """
module top(clk);
  input clk;
  reg [1:0] count = 2'h0;
  always @(posedge clk)
    count <= \\$1 ;
  \\top.part  part (
    .clk(clk)
  );
  \\top.part  \\part$2  (
    .clk(clk)
  );
endmodule
module \\top.part (clk);
  input clk;
  reg [7:0] words [0:3];
  reg \\held[0] ;
  always @(posedge clk) begin
    if (we)
      words[at] <= data;
  end
  reg [7:0] _0_;
  always @(posedge clk) begin
    _0_ <= words[at];
  end
  always @(posedge clk)
    \\held[0]  <= \\$2 ;
endmodule
"""

SAIF = """(SAIFILE
(SAIFVERSION "2.0")
(DURATION 31)
 (INSTANCE TOP
  (NET
   (clk (T0 16) (T1 15) (TZ 0) (TX 0) (TB 0) (TC 1000))
  )
  (INSTANCE top
   (NET
    (clk (T0 16) (T1 15) (TZ 0) (TX 0) (TB 0) (TC 1000))
    (count\\[0\\] (T0 16) (T1 15) (TZ 0) (TX 0) (TB 0) (TC 4))
    (count\\[1\\] (T0 16) (T1 15) (TZ 0) (TX 0) (TB 0) (TC 2))
    ($1\\[0\\] (T0 16) (T1 15) (TZ 0) (TX 0) (TB 0) (TC 1000))
   )
   (INSTANCE part
    (NET
     (words[0]\\[0\\] (T0 16) (T1 15) (TZ 0) (TX 0) (TB 0) (TC 1000))
     (_0_\\[7\\] (T0 16) (T1 15) (TZ 0) (TX 0) (TB 0) (TC 8))
     (held[0] (T0 16) (T1 15) (TZ 0) (TX 0) (TB 0) (TC 16))
    )
   )
   (INSTANCE part$2
    (NET
     (_0_\\[7\\] (T0 16) (T1 15) (TZ 0) (TX 0) (TB 0) (TC 32))
     (held[0] (T0 16) (T1 15) (TZ 0) (TX 0) (TB 0) (TC 64))
    )
   )
  )
 )
)
"""


def test_registers_are_counted_by_instance() -> None:
    """Not clocks, wires and words of memories; instances of a module each for itself."""
    found = count_toggles(VERILOG, "top", SAIF.splitlines())
    assert found == {"": 6, "part": 24, "part$2": 96}


def test_a_register_that_was_not_recorded() -> None:
    """It is named, with its instance."""
    lines = [line for line in SAIF.splitlines() if "TC 32" not in line]
    with pytest.raises(ValueError, match=r"^Register _0_ of part\$2 must be in the SAIF$"):
        count_toggles(VERILOG, "top", lines)


def test_what_is_refused(workload: Any, tmp_path: Path) -> None:
    """A model that does not count, and a single image."""
    with pytest.raises(ValueError, match=r"^Model must trace Trace.TOGGLES, not Trace.NOTHING$"):
        measure_toggles(workload.model, "", workload.program, workload.packed, tmp_path)
    model = replace(workload.model, trace=Trace.TOGGLES)
    image = workload.packed[: workload.program.metadata["image"]["bytes"]]
    with pytest.raises(ValueError, match=r"^Images must be at least 2, not 1$"):
        measure_toggles(model, "", workload.program, image, tmp_path)
