# SPDX-License-Identifier: Apache-2.0
"""What an estimate reports: cells by block, where they fit, and about which clock."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tritone.cli.estimate import estimate, estimate_table
from tritone.estimate import area_model
from tritone.spec.device import Family, device
from tritone.spec.machine import preset

PLACED = {
    "kind": "accelerator",
    "machine": "tiny",
    "device": "ecp5-25k",
    "macs_per_cycle": 64,
    "fmax_mhz": 81.6,
    "measured_or_published": "measured",
    "sites_per_mac": 160.0,
}


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A folder of results with one placed machine."""
    (tmp_path / "hardware.json").write_text(json.dumps([PLACED]))
    return tmp_path


def text(report: dict[str, Any], target: str) -> str:
    """Return the table of a report as a wide terminal shows it."""
    console = Console(width=140)
    with console.capture() as capture:
        console.print(estimate_table(report, device(target)))
    return capture.get()


def test_a_machine_that_fits(results: Path) -> None:
    """Blocks and sums are the model's; the clock is the placed machine's."""
    report = estimate(preset("tiny"), device("ecp5-85k"), results)
    found = area_model(Family.ECP5).estimate(preset("tiny"))
    assert report["blocks"] == {name: asdict(area) for name, area in found.blocks.items()}
    assert report["sites"] == sum(block["sites"] for block in report["blocks"].values())
    assert report["lacking"] == []
    assert report["clock"]["fmax_mhz"] == 81.6
    assert report["milliseconds"] < 5000
    shown = text(report, "ecp5-85k")
    assert "fits ecp5-85k" in shown
    assert "81.6 MHz, that of tiny (64 MAC a cycle) on ecp5-25k" in shown
    assert "beyond" not in shown


def test_a_machine_that_does_not_fit(results: Path) -> None:
    """It says what is lacking, and which device of the family has enough."""
    report = estimate(preset("ecp5_25"), device("ecp5-25k"), results)
    assert report["lacking"] == ["92 bram (it has 56)"]
    assert report["fits"] == ["ecp5-85k"]
    shown = text(report, "ecp5-25k")
    assert "does not fit ecp5-25k: 92 bram (it has 56)" in shown


def test_without_placed_machines_and_beyond_the_sweep(tmp_path: Path) -> None:
    """No clock is made up, and parameters that nobody mapped are named."""
    machine = replace(preset("tiny"), rows=64, even_bits=28)
    (tmp_path / "hardware.json").write_text(json.dumps([PLACED | {"device": "ice40up5k"}]))
    report = estimate(machine, device("ecp5-85k"), tmp_path)
    assert report["clock"] is None
    assert any(each.startswith("rows 64, of 8..") for each in report["outside"])
    shown = text(report, "ecp5-85k")
    assert "not known: no machine was placed on ecp5" in shown
    assert "beyond what was mapped" in shown


def test_without_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the default folder it is said that there is none; one that is given must have one."""
    monkeypatch.chdir(tmp_path)
    report = estimate(preset("tiny"), device("ecp5-85k"))
    assert report["clock"] is None
    assert "not known: docs/results/hardware.json is not there" in text(report, "ecp5-85k")
    message = r"^Results must be a folder with hardware\.json, not nope$"
    with pytest.raises(ValueError, match=message):
        estimate(preset("tiny"), device("ecp5-85k"), Path("nope"))
