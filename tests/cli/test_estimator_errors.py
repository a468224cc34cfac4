# SPDX-License-Identifier: Apache-2.0
"""Rows of estimates beside synthesis, of machines that the estimate has not seen."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from tritone.cli.app import main
from tritone.cli.estimator_errors import COMMAND, error_rows, errors_table
from tritone.estimate import AreaModel
from tritone.estimate.sweep_table import SweepRow, read_sweep
from tritone.spec.area import Area
from tritone.spec.device import Family
from tritone.spec.machine import preset


def test_rows() -> None:
    """Errors are those of the machine's sums; the fit does not look at what is held out."""
    table = read_sweep(Family.ECP5)
    found = AreaModel(table).estimate(preset("tiny"))
    mapped = {name: area + Area(sites=area.sites) for name, area in found.blocks.items()}
    held = SweepRow(machine=preset("tiny"), parts=mapped)
    (row,) = error_rows(replace(table, held_out=(held,)))
    assert (row["machine"], row["shape"], row["array"]) == ("tiny", "8x8x1", "post")
    assert row["sites_error_percent"] == -50.0
    assert (row["ff_error_percent"], row["mapped_bram"]) == (0.0, row["estimated_bram"])
    assert row["blocks"]["pool"] == [found.blocks["pool"].sites, 2 * found.blocks["pool"].sites]
    assert row["command"] == COMMAND


def test_a_sweep_that_held_nothing_out_is_refused() -> None:
    """There is no error to tell then."""
    with pytest.raises(ValueError, match=r"^Sweep must have machines that were held out, not none"):
        error_rows(replace(read_sweep(Family.ECP5), held_out=()))


def test_the_published_errors_are_those_of_the_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """docs/results/estimator.json is what the command writes."""
    published = Path(__file__).resolve().parents[2] / "docs" / "results" / "estimator.json"
    assert main(["bench", "estimate", "--results", str(tmp_path)]) == 0
    assert "Machines that the estimate has not seen" in capsys.readouterr().out
    written = tmp_path / "estimator.json"
    assert json.loads(written.read_text()) == json.loads(published.read_text())
    assert written.with_suffix(".md").is_file()


def test_the_table() -> None:
    """It has each machine, and each block's worst error."""
    row = {
        "machine": "held-0",
        "estimated_sites": 990,
        "mapped_sites": 1000,
        "sites_error_percent": -1.0,
        "ff_error_percent": 2.5,
        "estimated_bram": 4,
        "mapped_bram": 5,
        "estimated_dsp": 3,
        "mapped_dsp": 3,
        "blocks": {"pool": [90, 100]},
    }
    console = Console(width=120)
    with console.capture() as capture:
        console.print(errors_table([row], {}))
    text = capture.get()
    for word in ("held-0", "990", "1,000", "-1.00 %", "+2.50 %", "-1", "pool", "-10.0 %"):
        assert word in text
