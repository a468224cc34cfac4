# SPDX-License-Identifier: Apache-2.0
"""tritone_sim.serial_board: a simulated line is a port like any other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tritone_sim.build import build_model
from tritone_sim.serial_board import serial_board

pytest.importorskip("serial", reason="pyserial is missing: pip install -e '.[board]'")

from tritone.host.serial_line import open_line

ROOT = Path(__file__).resolve().parents[2]
DIVISOR = 4

# Sends each byte back with its bits inverted: start and stop bits go through as they are.
INVERTER = """
module inverter(clk, rst, rx, tx);
  input clk, rst, rx;
  output reg tx;
  reg [5:0] cycle;
  wire [3:0] bits = cycle[5:2];
  reg busy;
  always @(posedge clk)
    if (rst) begin busy <= 0; cycle <= 0; tx <= 1; end
    else begin
      if (!busy && !rx) begin busy <= 1; cycle <= 1; tx <= 0; end
      else if (busy) begin
        cycle <= cycle + 1;
        tx <= bits == 0 ? 0 : bits == 9 ? 1 : ~rx;
        if (cycle == 39) busy <= 0;
      end
      else tx <= 1;
    end
endmodule
"""
# A design that gives up: the simulation ends by itself.
QUITTER = """
module quitter(clk, rst, rx, tx);
  input clk, rst, rx;
  output tx;
  assign tx = 1;
  always @(posedge clk) if (!rst) $finish;
endmodule
"""


def test_bytes_go_through_the_design(tmp_path: Path) -> None:
    """All of them, as the design says, for one host after another; the simulator ends with us."""
    model = build_model(INVERTER, "inverter", cache=ROOT / "build" / "verilator")
    every = bytes(range(256))
    with serial_board(model, tmp_path, DIVISOR) as port:
        for _ in range(2):
            with open_line(port) as line:
                line.write(every)
                got = b""
                for _ in range(400):
                    got += line.read(max(1, line.in_waiting))
                    if len(got) == len(every):
                        break
                assert got == bytes(255 - byte for byte in every)
    assert "PASS=1" in (tmp_path / "simulator.log").read_text()


def test_a_simulator_that_ends(tmp_path: Path) -> None:
    """The message ends with its log."""
    model = build_model(QUITTER, "quitter", cache=ROOT / "build" / "verilator")
    message = rf"^Simulation in {re.escape(str(tmp_path))} failed:\n"
    with pytest.raises(RuntimeError, match=message), serial_board(model, tmp_path, DIVISOR):
        pass
