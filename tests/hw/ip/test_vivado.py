# SPDX-License-Identifier: Apache-2.0
"""The script of Vivado, run by Tcl with Vivado's commands written down instead of done."""

from __future__ import annotations

import pytest

from tritone.spec.axi import ADDRESS_BITS
from tritone.spec.regmap import REGISTER_BYTES, REGISTERS
from tritone_hw.ip.vivado import vivado_script

tkinter = pytest.importorskip("tkinter", reason="needs python3-tk for its Tcl")

# Every command of Vivado is recorded. One returns the name of what it makes or finds; buses and
# signals are found when ::there has them, from the start or since they were inferred.
RECORDER = """
namespace eval ipx {}
proc unknown {args} {
    lappend ::calls $args
    switch [namespace tail [lindex $args 0]] {
        infer_bus_interfaces {lappend ::there [lindex $args 2]}
        infer_bus_interface {lappend ::there [lindex $args 1]}
        get_bus_interfaces {
            return [expr {[lindex $args 1] in $::there ? "interface [lindex $args 1]" : ""}]
        }
        add_bus_parameter {return "[lindex $args 1] of [lindex $args 2]"}
        get_address_spaces {return "space [lindex $args 1]"}
        get_memory_maps {return "map [lindex $args 1]"}
        get_address_blocks {return [list "block of [lindex $args 2]"]}
    }
    return [lindex $args 1]
}
namespace eval ipx {namespace unknown ::qualified}
proc qualified {args} {return [::unknown {*}$args]}
"""
INTERFACES = ("s_axil", "m_axi", "clk", "rst", "interrupt")


def calls(there: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Return the commands that the script gives to a Vivado that finds so much by itself."""
    registers = [(each.name, each.address, each.access.value, each.doc) for each in REGISTERS]
    script = vivado_script(
        "tritone_xc7.v", "tritone", "tiny", "0.1.0", "xc7z020clg400-1", registers, REGISTER_BYTES
    )
    tcl = tkinter.Tcl()
    tcl.eval("set calls {}")
    tcl.eval(f"set there {{{' '.join(there)}}}")
    tcl.eval(RECORDER)
    tcl.eval(script.replace("[info script]", '"/x/vivado/package_ip.tcl"'))
    found = [tuple(map(str, tcl.splitlist(each))) for each in tcl.splitlist(tcl.eval("set calls"))]
    return [(name.removeprefix("::"), *words) for name, *words in found]


def inferred(found: list[tuple[str, ...]]) -> list[tuple[str, str]]:
    """Return what was inferred, with its kind."""
    buses = [call[2:4] for call in found if call[0] == "ipx::infer_bus_interfaces"]
    return [*buses, *(call[1:3] for call in found if call[0] == "ipx::infer_bus_interface")]


def test_the_script() -> None:
    """It is Tcl; buses, clock, reset and interrupt are inferred, every register is described."""
    found = calls()
    names = [call[0] for call in found]
    assert names[0] == "create_project"
    assert names[-1] == "close_project"
    assert ("add_files", "-norecurse", "/x/vivado/../rtl/tritone_xc7.v") in found
    assert inferred(found) == [
        ("s_axil", "xilinx.com:interface:aximm_rtl:1.0"),
        ("m_axi", "xilinx.com:interface:aximm_rtl:1.0"),
        ("clk", "xilinx.com:signal:clock_rtl:1.0"),
        ("rst", "xilinx.com:signal:reset_rtl:1.0"),
        ("interrupt", "xilinx.com:signal:interrupt_rtl:1.0"),
    ]
    described = [call[1:] for call in found if call[0] == "ipx::add_register"]
    assert described == [(each.name, "block of map s_axil") for each in REGISTERS]
    offsets = [int(call[2], 0) for call in found if call[1:2] == ("address_offset",)]
    assert offsets == [each.address for each in REGISTERS]
    assert names.count("ipx::save_core") == 1


@pytest.mark.parametrize("there", [(), INTERFACES, ("s_axil", "rst")], ids=["none", "all", "some"])
def test_interfaces(there: tuple[str, ...]) -> None:
    """Only what is not found is inferred; all have the clock, levels and ranges of the machine."""
    found = calls(there)
    assert [name for name, _ in inferred(found)] == [
        each for each in INTERFACES if each not in there
    ]
    associated = [call[1:5] for call in found if call[0] == "ipx::associate_bus_interfaces"]
    assert associated == [("-busif", bus, "-clock", "clk") for bus in ("s_axil", "m_axi")]
    expected = {
        ("value", "POLARITY of interface rst"): "ACTIVE_HIGH",
        ("value", "SENSITIVITY of interface interrupt"): "LEVEL_HIGH",
        ("range", "space m_axi"): str(1 << ADDRESS_BITS),
        ("width", "space m_axi"): str(ADDRESS_BITS),
        ("range", "block of map s_axil"): "4096",
    }
    told = {(call[1], call[3]): call[2] for call in found if call[0] == "set_property"}
    assert expected.items() <= told.items()
