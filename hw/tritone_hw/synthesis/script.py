# SPDX-License-Identifier: Apache-2.0
"""What yosys is told: the commands that map a design to the cells of a family."""

from __future__ import annotations

from collections.abc import Iterable

from tritone.spec.device import Family
from tritone_hw.synthesis.wide_multiplexers import COVER_TREES, FORM_TREES

__all__ = ["NETLIST", "STATISTICS", "yosys_script"]

# Files that the script writes, beside the Verilog.
NETLIST = "netlist.json"
STATISTICS = "statistics.json"

# Delay of logic between registers that mapping allows, in picoseconds: about a third of the period
# of the clocks that are reached, routing being the rest. Asked for the least delay, abc9 makes the
# logic of loops and transfers twice as large, also where it is nowhere near the critical path.
_LOGIC_PICOSECONDS = 3500

# The blocks keep their boundaries, so nothing is flattened by the mapping commands themselves
# except within a block. The single-port memories of iCE40 are not taken unless asked for.
_MAPPING = {
    Family.ECP5: "synth_ecp5 -top {top} -abc9",
    Family.ICE40: "synth_ice40 -top {top} -device u -spram -abc9",
    Family.XC7: "synth_xilinx -top {top} -family xc7 -abc9 -flatten -noiopad",
    Family.GOWIN: "synth_gowin -top {top} -abc9 -noiopads",
}


def _commands(family: Family, command: str) -> tuple[str, ...]:
    """Return the mapping command, in parts where a step of our own lies between these."""
    if family is not Family.ECP5:
        return (command,)
    return (
        f"{command} -run begin:coarse",
        *FORM_TREES,
        f"{command} -run coarse:map_luts",
        *COVER_TREES,
        f"{command} -run map_luts:",
    )


def _products(family: Family, multipliers: bool) -> str:
    """Return the option that takes multipliers of the device, or keeps them out."""
    if family is Family.ICE40:
        return " -dsp" if multipliers else ""
    return "" if multipliers else " -nodsp"


def yosys_script(
    family: Family,
    verilog: str,
    top: str,
    blocks: Iterable[str],
    *,
    multipliers: bool = True,
    fast: bool = False,
) -> str:
    """Return the commands that map ``verilog`` to the cells of ``family``.

    Written are STATISTICS, the cells of each of the ``blocks``, and NETLIST, flat, for place and
    route. A block keeps its hierarchy until it is mapped: so its cells can be counted, and nothing
    outside can make it smaller than it is.

    Parameters
    ----------
    family : what to map to.
    verilog : file name.
    top : top module.
    blocks : modules that are mapped for themselves; ones that are not there are left out.
    multipliers : products may take multipliers of the device.
    fast : take the logic with the least delay, whatever its size.
    """
    return "\n".join(
        (
            f"read_verilog {verilog}",
            f"hierarchy -top {top}",  # checked by the mapping, which knows the cells of the family
            *(f"setattr -mod -set keep_hierarchy 1 {name}" for name in blocks),
            *(() if fast else (f"scratchpad -set abc9.D {_LOGIC_PICOSECONDS}",)),
            *_commands(family, _MAPPING[family].format(top=top) + _products(family, multipliers)),
            f"tee -q -o {STATISTICS} stat -json",
            "setattr -mod -unset keep_hierarchy *",
            "flatten",
            "opt_clean",
            f"write_json {NETLIST}",
        )
    )
