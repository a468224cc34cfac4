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


def test_an_array(tmp_path: Path) -> None:
    """Each of its placements has a row, which the same one again replaces."""
    path = tmp_path / "array.json"
    common = {"kind": "array", "codebook": "post4", "machine": "post", "device": "ecp5-85k"}
    common |= {"macs_per_cycle": 64, "ff": 9, "fmax_mhz": 200.0, "tool": "yosys and nextpnr"}
    for first in (30.0, 31.0):
        rows = [common | {"seed": 1, "sites_per_mac": first}]
        rows += [common | {"seed": 2, "sites_per_mac": 33.0}]
        path.write_text(json.dumps({"array": "post", "rows": rows}))
        (table,) = add_synthesis(path, tmp_path / "results", "python -m x")
    held = json.loads(table.read_text())
    assert [(row["seed"], row["sites_per_mac"]) for row in held] == [(1, 31.0), (2, 33.0)]
    assert {row["source"] for row in held} == {"python -m x"}
    assert "| post | post4 | 32.00 | 1.00 |" in table.with_suffix(".md").read_text()


def test_what_is_no_synthesis(tmp_path: Path) -> None:
    """Another JSON is refused."""
    path = tmp_path / "sim.json"
    path.write_text(json.dumps({"machine": "tiny", "images": 3}))
    message = r"^Report .*sim\.json must be one that tritone synth wrote$"
    with pytest.raises(ValueError, match=message):
        add_synthesis(path, tmp_path, "x")
