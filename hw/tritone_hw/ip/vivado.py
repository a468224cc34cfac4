# SPDX-License-Identifier: Apache-2.0
"""The script that packages the machine as IP-XACT in Vivado."""

from __future__ import annotations

from collections.abc import Iterable

from tritone.spec.axi import ADDRESS_BITS

__all__ = ["vivado_script"]

_SCRIPT = """\
# SPDX-License-Identifier: Apache-2.0
# Packages {top}, machine {machine}, as IP: vivado -mode batch -source package_ip.tcl
# Afterwards ip/ beside this script is a repository of IP for set_property ip_repo_paths.
set here [file dirname [file normalize [info script]]]
create_project -force tritone_ip $here/project -part {part}
add_files -norecurse [file join $here .. rtl {verilog}]
add_files -fileset constrs_1 -norecurse [file join $here .. constraints tritone.xdc]
set_property used_in {{synthesis implementation out_of_context}} [get_files tritone.xdc]
set_property top {top} [current_fileset]
update_compile_order -fileset sources_1

ipx::package_project -root_dir $here/ip -vendor tritone -library accelerator \\
  -taxonomy /UserIP -import_files -force
set core [ipx::current_core]
set_property name {identifier} $core
set_property display_name {{Tritone {machine}}} $core
set_property description {{Convolution accelerator for weights of powers of sqrt(2)}} $core
set_property version {version} $core
set_property supported_families {{zynq Production artix7 Production kintex7 Production}} $core

# Vivado finds the buses by the names of the ports; what is not found is told here.
foreach bus {{s_axil m_axi}} {{
  if {{[ipx::get_bus_interfaces $bus -of_objects $core] eq ""}} {{
    ipx::infer_bus_interfaces -bus_prefix $bus xilinx.com:interface:aximm_rtl:1.0 $core
  }}
  ipx::associate_bus_interfaces -busif $bus -clock clk $core
}}
foreach {{port kind}} {{clk clock rst reset interrupt interrupt}} {{
  if {{[ipx::get_bus_interfaces $port -of_objects $core] eq ""}} {{
    ipx::infer_bus_interface $port xilinx.com:signal:${{kind}}_rtl:1.0 $core
  }}
}}
set polarity [ipx::add_bus_parameter POLARITY [ipx::get_bus_interfaces rst -of_objects $core]]
set_property value ACTIVE_HIGH $polarity
set sensitivity [ipx::add_bus_parameter SENSITIVITY \\
  [ipx::get_bus_interfaces interrupt -of_objects $core]]
set_property value LEVEL_HIGH $sensitivity

set space [ipx::get_address_spaces m_axi -of_objects $core]
set_property range {space_range} $space
set_property width {address_bits} $space
set map [ipx::get_memory_maps s_axil -of_objects $core]
set block [lindex [ipx::get_address_blocks -of_objects $map] 0]
set_property range 4096 $block
{registers}
ipx::create_xgui_files $core
ipx::update_checksums $core
ipx::check_integrity $core
ipx::save_core $core
close_project
"""


def vivado_script(
    verilog: str,
    top: str,
    machine: str,
    version: str,
    part: str,
    registers: Iterable[tuple[str, int, str, str]],
    register_bytes: int,
) -> str:
    """Return the Tcl; Vivado 2020.1 or newer.

    Parameters
    ----------
    verilog : name of the file in rtl/.
    top : top module.
    machine : name of the machine, for people.
    version : of the project that made it; Vivado wants two numbers of it.
    part : device of the project.
    registers : name, byte address, access and meaning of each register.
    register_bytes : of all of them; they fit the page that an interconnect gives.
    """
    assert register_bytes <= 4096
    lines = []
    for name, address, access, doc in registers:
        lines += [
            f"set register [ipx::add_register {name} $block]",
            f"set_property address_offset {address:#x} $register",
            "set_property size 32 $register",
            f"set_property access {access} $register"
            if access != "read"
            else "set_property access read-only $register",
            f"set_property description {{{doc}}} $register",
        ]
    return _SCRIPT.format(
        verilog=verilog,
        top=top,
        machine=machine,
        identifier=f"{top}_{machine.replace('-', '_')}",
        version=".".join((*version.split("."), "0")[:2]),
        part=part,
        space_range=1 << ADDRESS_BITS,
        address_bits=ADDRESS_BITS,
        registers="\n".join(lines),
    )
