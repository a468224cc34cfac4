# SPDX-License-Identifier: Apache-2.0
"""Rows of the hardware table."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tritone.cli.hardware_results import COLUMNS, add_synthesis
from tritone.cli.results_page import render

SYNTHESIS = {
    "device": "ecp5-25k",
    "machine": "tiny",
    "macs_per_cycle": 64,
    "sites": 5600,
    "sites_per_mac": 87.5,
    "fmax_mhz": 98.76,
    "placed": True,
    "blocks": {},
    "tool_versions": ["one 1", "two 2"],
}


def test_a_synthesis(tmp_path: Path) -> None:
    """Its row says how it came about; the same command again replaces it, another adds one."""
    path = tmp_path / "tiny-ecp5-25k.json"
    path.write_text(json.dumps(SYNTHESIS))
    (table,) = add_synthesis(path, tmp_path / "results", "make synth MACHINE=tiny")
    path.write_text(json.dumps(SYNTHESIS | {"sites": 5500}))
    add_synthesis(path, tmp_path / "results", "make synth MACHINE=tiny")
    path.write_text(json.dumps(SYNTHESIS | {"placed": False}))
    add_synthesis(path, tmp_path / "results", "make synth MACHINE=tiny")
    rows = json.loads(table.read_text())
    assert [(row["sites"], row["tool"], row["measured_or_published"]) for row in rows] == [
        (5500, "yosys and nextpnr", "measured"),
        (5600, "yosys", "measured"),
    ]
    assert tuple(rows[0]) == COLUMNS
    text = table.with_suffix(".md").read_text()
    assert text == render(table, rows)
    assert "| one 1, two 2 | measured | `make synth MACHINE=tiny` |" in text
    assert "](hardware.svg)" in text
    assert table.with_suffix(".svg").is_file()


def test_what_is_no_synthesis(tmp_path: Path) -> None:
    """Another JSON is refused."""
    path = tmp_path / "sim.json"
    path.write_text(json.dumps({"machine": "tiny", "images": 3}))
    message = r"^Report .*sim\.json must be one that tritone synth wrote$"
    with pytest.raises(ValueError, match=message):
        add_synthesis(path, tmp_path, "x")
