# SPDX-License-Identifier: Apache-2.0
"""Rows of the hardware table: what a synthesis measured."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from tritone.cli.results import put_row
from tritone.cli.results_page import Row

__all__ = ["COLUMNS", "add_synthesis", "put_hardware"]

COLUMNS = (
    "kind",
    "codebook",
    "machine",
    "device",
    "macs_per_cycle",
    "sites",
    "sites_per_mac",
    "ff",
    "bram",
    "dsp",
    "fmax_mhz",
    "cycles_per_image",
    "network",
    "fps",
    "seed",
    "seconds",
    "tool",
    "tool_versions",
    "measured_or_published",
    "source",
)
_KEY = ("kind", "codebook", "machine", "device", "tool", "source")
# Each placement of an array has a row, however many there are of it.
_ARRAY_KEY = (*(name for name in _KEY if name != "source"), "seed")
_TABLE = "hardware"


def add_synthesis(report: Path, results: Path, command: str) -> list[Path]:
    """Add what a synthesis measured to ``results/hardware.json``; return that table in a list.

    A row of the same machine, device and command is replaced; an array has one for each seed,
    which any command replaces.

    Raises
    ------
    ValueError : ``report`` is not what ``tritone synth`` or ``array_area`` writes.
    """
    found: Row = json.loads(report.read_text(encoding="utf-8"))
    table = results / f"{_TABLE}.json"
    if {"array", "rows"} <= found.keys():
        for row in found["rows"]:
            _put(table, row | {"source": command}, _ARRAY_KEY)
        return [table]
    if not {"placed", "blocks", "tool_versions"} <= found.keys():
        raise ValueError(f"Report {report} must be one that tritone synth wrote")
    row = found | {
        "kind": "accelerator",
        "codebook": "by table",
        "tool": "yosys and nextpnr" if found["placed"] else "yosys",
        "measured_or_published": "measured",
        "source": command,
    }
    return [put_hardware(row, results)]


def put_hardware(row: Row, results: Path) -> Path:
    """Put the COLUMNS of ``row`` into ``results/hardware.json``; return its path.

    A row of the same machine, device, tool and source is replaced.
    """
    table = results / f"{_TABLE}.json"
    _put(table, row, _KEY)
    return table


def _put(table: Path, row: Row, key: Sequence[str]) -> None:
    put_row(table, {name: row.get(name) for name in COLUMNS}, key)
