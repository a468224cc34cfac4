# SPDX-License-Identifier: Apache-2.0
"""The script of Vivado, run by Tcl with Vivado's commands written down instead of done."""

from __future__ import annotations

import pytest

from tritone.spec.regmap import REGISTER_BYTES, REGISTERS
from tritone_hw.ip.vivado import vivado_script

tkinter = pytest.importorskip("tkinter", reason="needs python3-tk for its Tcl")

# Every command of Vivado is recorded; what one returns is its own last word, so that objects have
# names. Nothing is found at first, so that every interface is inferred.
RECORDER = """
namespace eval ipx {}
proc unknown {args} {
    lappend ::calls $args
    if {[string match ipx::get_bus_interfaces [lindex $args 0]] && ![info exists ::second]} {
        return ""
    }
    return [lindex $args 1]
}
namespace eval ipx {namespace unknown ::qualified}
proc qualified {args} {return [::unknown {*}$args]}
"""


def calls() -> list[tuple[str, ...]]:
    """Return the commands that the script gives."""
    registers = [(each.name, each.address, each.access.value, each.doc) for each in REGISTERS]
    script = vivado_script("tritone", "tiny", "0.1.0", "xc7z020clg400-1", registers, REGISTER_BYTES)
    tcl = tkinter.Tcl()
    tcl.eval("set calls {}")
    tcl.eval(RECORDER)
    tcl.eval(script.replace("[info script]", '"/x/package_ip.tcl"'))
    return [tuple(map(str, tcl.splitlist(each))) for each in tcl.splitlist(tcl.eval("set calls"))]


def test_the_script() -> None:
    """It is Tcl; buses, clock, reset and interrupt are inferred, every register is described."""
    found = calls()
    names = [call[0].removeprefix("::") for call in found]
    assert names[0] == "create_project"
    assert names[-1] == "close_project"
    inferred = [call[1:4] for call in found if call[0].endswith("infer_bus_interfaces")]
    assert [each[1] for each in inferred] == ["s_axil", "m_axi"]
    single = [call[1:3] for call in found if call[0].endswith("infer_bus_interface")]
    assert single == [
        ("clk", "xilinx.com:signal:clock_rtl:1.0"),
        ("rst", "xilinx.com:signal:reset_rtl:1.0"),
        ("interrupt", "xilinx.com:signal:interrupt_rtl:1.0"),
    ]
    described = [call[1] for call in found if call[0].endswith("add_register")]
    assert described == [each.name for each in REGISTERS]
    offsets = [int(call[2], 0) for call in found if call[1:2] == ("address_offset",)]
    assert offsets == [each.address for each in REGISTERS]
    assert names.count("ipx::save_core") == 1
