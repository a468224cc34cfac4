# SPDX-License-Identifier: Apache-2.0
"""tritone_sim.control_file: which signals a bench can reach."""

from __future__ import annotations

import pytest

from tritone_sim.control_file import Probe, control_file, ports

VERILOG = r"""
module other(a);
  input a;
endmodule

module tritone(clk, rst,
  m_axi_awid);
  \tritone.engine  engine ();
endmodule

module \tritone.engine (clk);
  input clk;
  reg write_back_valid = 1'h0;
endmodule
"""


def test_ports_are_those_of_the_top_module_in_order() -> None:
    """A header over several lines counts, another module does not."""
    assert ports(VERILOG, "tritone") == ["clk", "rst", "m_axi_awid"]


def test_a_missing_top_module_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^Verilog must hold the module missing$"):
        ports(VERILOG, "missing")


def test_only_ports_and_probes_are_public() -> None:
    """Ports can be written, probes only read."""
    text = control_file(VERILOG, "tritone", (Probe(("engine",), "write_back_valid"),))
    assert text.splitlines() == [
        "`verilator_config",
        'public_flat_rw -module "tritone" -var "clk"',
        'public_flat_rw -module "tritone" -var "rst"',
        'public_flat_rw -module "tritone" -var "m_axi_awid"',
        'public_flat_rd -module "tritone.engine" -var "write_back_valid"',
    ]


@pytest.mark.parametrize(
    ("probe", "signal", "module"),
    [
        (Probe(("engine",), "write_back"), "write_back", "tritone.engine"),
        (Probe(("sequencer",), "clk"), "clk", "tritone.sequencer"),
    ],
)
def test_a_probe_that_is_not_there_is_refused(probe: Probe, signal: str, module: str) -> None:
    """A part of a name, or the right name in a module that is not there, is no probe."""
    message = f"^Verilog must hold the signal {signal} in the module {module}$"
    with pytest.raises(ValueError, match=message):
        control_file(VERILOG, "tritone", (probe,))
