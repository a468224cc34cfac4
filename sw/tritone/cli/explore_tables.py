# SPDX-License-Identifier: Apache-2.0
"""The tables of an exploration: its front, what was left out, and what synthesis says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Group
from rich.text import Text

from tritone.cli.explore import Exploration
from tritone.cli.table_forms import grid, pairs

__all__ = ["front_table", "left_out_table", "synthesis_errors_table"]


def left_out_table(found: Exploration) -> Group:
    """Return how many machines run a network, and how many were left out for which reason."""
    rows = [(reason, f"{count:,}") for reason, count in found.left_out]
    return pairs("Machines", [("run a network and fit", f"{len(found.points):,}"), *rows])


def front_table(found: Exploration, path: Path) -> Group:
    """Return the table of the front, the smallest machine first, of each network for itself."""
    tables = [
        _network_table(found, network, codebook)
        for network, codebook in dict.fromkeys(
            (point.network, point.codebook) for point in found.points
        )
    ]
    note = (
        "Sites and bram are estimated, as mapped; cycles an image are exact; MHz is the class of "
        "clock, that of the placed machine nearest in size; fps is MHz over cycles.\n"
        f"{path}: all of them; beside it a picture, and a .toml of each machine of the front."
    )
    return Group(*tables, Text(note))


def _network_table(found: Exploration, network: str, codebook: str) -> Group:
    rows = []
    for point in found.front:
        if point.network != network:
            continue
        area = point.candidate.area
        rows.append(
            (
                point.candidate.machine.name,
                f"{area.sites:,.0f}",
                f"{100 * area.sites / found.device.sites:.0f} %",
                f"{area.bram:,.0f}",
                f"{point.candidate.cycles:,}",
                f"{point.clock.fmax_mhz:.0f}",
                f"{point.fps:,.0f}",
                "-" if point.top1 is None else f"{point.top1:.2f}",
            )
        )
    columns = (
        "kind_R×C×P_slots",
        "sites",
        "of all",
        "bram",
        "cycles",
        "MHz",
        "fps",
        "top-1",
    )
    title = f"Pareto front on {found.device.name}: {network}, {codebook}"
    if not rows:
        title += ": other networks beat it on every machine"
    return grid(title, columns, rows)


def synthesis_errors_table(rows: Sequence[Mapping[str, Any]]) -> Group:
    """Return the table of machines that were synthesised, beside their estimates."""
    shown = []
    for row in rows:
        if row["reason"]:
            shown.append((row["machine"], *("-" for _ in range(7)), row["reason"]))
            continue
        shown.append(
            (
                row["machine"],
                f"{row['estimated_sites']:,.0f}",
                f"{row['mapped_sites']:,.0f}",
                f"{row['sites_error_percent']:+.2f} %",
                f"{row['estimated_bram']:,.0f}",
                f"{row['mapped_bram']:,.0f}",
                f"{row['class_mhz']:.1f}",
                "-" if row["fmax_mhz"] is None else f"{row['fmax_mhz']:.1f}",
                "",
            )
        )
    columns = (
        "machine",
        "sites estimated",
        "mapped",
        "error",
        "bram estimated",
        "mapped",
        "class of clock",
        "fmax",
        "reason",
    )
    return grid("Synthesis of the front", columns, shown)
