# SPDX-License-Identifier: Apache-2.0
"""The picture of the hardware table: what a multiply-accumulate costs, ours and others'."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tritone.cli.array_comparison import ArrayFigures, compare_arrays, is_compared
from tritone.spec.storage import write_atomically

__all__ = ["draw_hardware"]

_COLORS = {"measured": "tab:blue", "published": "tab:gray"}


def draw_hardware(
    rows: Sequence[Mapping[str, Any]], trained: Sequence[Mapping[str, Any]], path: Path
) -> None:
    """Draw the rows of hardware.json that have sites for each multiply-accumulate, as SVG.

    Above, the arrays of 4-bit weights side by side, with their clock and top-1 (``trained``: rows
    of trained networks); below, a bar for each other row, whose colour tells what was measured from
    what others published. The same rows give the same file.
    """
    arrays = compare_arrays(rows, trained)
    others = sorted(
        (row for row in rows if row["sites_per_mac"] is not None and not is_compared(row)),
        key=lambda row: float(row["sites_per_mac"]),
        reverse=True,
    )
    heights = [1 + 0.55 * len(arrays), 1 + 0.3 * len(others)]
    with mpl.rc_context({"svg.hashsalt": "tritone", "svg.fonttype": "none"}):
        figure = Figure(figsize=(9, sum(heights)), layout="constrained")
        above, below = figure.subplots(2, 1, height_ratios=heights)
        _draw_arrays(arrays, above)
        _draw_others(others, below)
        data = io.BytesIO()
        figure.savefig(data, format="svg", metadata={"Date": None})
    write_atomically(path, data.getvalue())


def _draw_arrays(arrays: Sequence[ArrayFigures], axis: Axes) -> None:
    """Draw two bars for each array, the smallest one on top."""
    arrays = arrays[::-1]
    for offset, label, color, figures in (
        (0.2, "ECP5, lookup tables of 4 inputs", "tab:blue", [a.mean_sites for a in arrays]),
        (-0.2, "7 series, lookup tables of 6 inputs", "tab:orange", [a.luts for a in arrays]),
    ):
        places = [n + offset for n, figure in enumerate(figures) if figure is not None]
        known = [figure for figure in figures if figure is not None]
        if known:
            bars = axis.barh(places, known, height=0.38, color=color, label=label)
            axis.bar_label(bars, fmt="%.1f")
    names = []
    for each in arrays:
        clock = "" if each.median_clock is None else f", {each.median_clock:.0f} MHz"
        top1 = "" if each.top1 is None else f", {each.top1:.2f} %"
        names.append(f"{each.machine}, {each.codebook}{clock}{top1}")
    axis.set_yticks(range(len(arrays)), names, fontsize="small")
    axis.set_title("4-bit arrays, clock on ECP5, top-1 on CIFAR-10")
    if arrays:
        axis.margins(x=0.1)  # for the figures behind the bars
        axis.legend()


def _draw_others(rows: Sequence[Mapping[str, Any]], axis: Axes) -> None:
    """Draw a bar for each row."""
    for kind, color in _COLORS.items():
        chosen = [i for i, row in enumerate(rows) if row["measured_or_published"] == kind]
        if chosen:
            sites = [rows[i]["sites_per_mac"] for i in chosen]
            axis.bar_label(axis.barh(chosen, sites, color=color, label=kind), fmt="%.1f")
    labels = [
        ", ".join(str(row[name]) for name in ("machine", "codebook", "kind", "device") if row[name])
        for row in rows
    ]
    axis.set_yticks(range(len(rows)), labels, fontsize="small")
    axis.set_xlabel("lookup tables of the device for each multiply-accumulate a cycle")
    axis.set_title("Accelerators, and others' arrays")
    if rows:
        axis.margins(x=0.1)
        axis.legend()
