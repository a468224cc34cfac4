# SPDX-License-Identifier: Apache-2.0
"""The picture of the hardware table: what a multiply-accumulate costs, ours and others'."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from tritone.spec.storage import write_atomically

__all__ = ["draw_hardware"]

_COLORS = {"measured": "tab:blue", "published": "tab:gray"}


def draw_hardware(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw the rows of hardware.json that have sites for each multiply-accumulate, as SVG.

    A bar is a row; its colour tells what was measured from what others published. The same rows
    give the same file.
    """
    rows = sorted(
        (row for row in rows if row["sites_per_mac"] is not None),
        key=lambda row: float(row["sites_per_mac"]),
        reverse=True,
    )
    with mpl.rc_context({"svg.hashsalt": "tritone", "svg.fonttype": "none"}):
        figure = Figure(figsize=(9, 1 + 0.3 * len(rows)), layout="constrained")
        axis = figure.subplots()
        for kind, color in _COLORS.items():
            chosen = [i for i, row in enumerate(rows) if row["measured_or_published"] == kind]
            if chosen:
                sites = [rows[i]["sites_per_mac"] for i in chosen]
                axis.bar_label(axis.barh(chosen, sites, color=color, label=kind), fmt="%.1f")
        labels = [
            ", ".join(
                str(row[name]) for name in ("machine", "codebook", "kind", "device") if row[name]
            )
            for row in rows
        ]
        axis.set_yticks(range(len(rows)), labels, fontsize="small")
        axis.set_xlabel("sites (lookup tables of the device) for each multiply-accumulate a cycle")
        axis.legend()
        data = io.BytesIO()
        figure.savefig(data, format="svg", metadata={"Date": None})
    write_atomically(path, data.getvalue())
