# SPDX-License-Identifier: Apache-2.0
"""Whole accelerators by size: how area and clock change with the array."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tritone.spec.device import DEVICES, Family

__all__ = ["trend_lines"]


def trend_lines(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the section of the page: our machines placed on ECP5, the smallest first.

    Parameters
    ----------
    rows : of hardware.json; no such machine among them: no section.
    """
    placed = sorted((row for row in rows if _is_ours(row)), key=lambda row: row["macs_per_cycle"])
    if not placed:
        return []
    lines = [
        "## Accelerators by size",
        "",
        "Whole machines after place and route on ECP5 (speed 6): all blocks, without the serial",
        "port of the tools.",
        "",
        "| machine | macs per cycle | sites | sites per mac | MHz | peak GMAC/s | network | fps |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in placed:
        macs, clock = row["macs_per_cycle"], row["fmax_mhz"]
        cells = [
            row["machine"],
            f"{macs:,}",
            f"{row['sites']:,}",
            f"{row['sites_per_mac']:.1f}",
            f"{clock:.1f}",
            f"{macs * clock / 1000:.1f}",
            row["network"] or "-",
            "-" if row["fps"] is None else f"{row['fps']:,.0f}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return [*lines, ""]


def _is_ours(row: Mapping[str, Any]) -> bool:
    known = row["device"] in DEVICES and DEVICES[row["device"]].family is Family.ECP5
    return row["kind"] == "accelerator" and known and row["fmax_mhz"] is not None
