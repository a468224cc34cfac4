# SPDX-License-Identifier: Apache-2.0
"""The picture of an exploration: area against frames a second, the front marked."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from tritone.cli.explore import Exploration
from tritone.spec.machine import ArrayKind
from tritone.spec.storage import write_atomically

__all__ = ["draw_front"]

_COLORS = {
    ArrayKind.POST: "tab:blue",
    ArrayKind.UNIFORM: "tab:orange",
    ArrayKind.POT: "tab:green",
}
_MARKERS = "osD^vP*X"


def draw_front(found: Exploration, path: Path, synthesised: Sequence[dict[str, Any]] = ()) -> None:
    """Draw all machines of an exploration, its front as a line, as SVG.

    Colours tell kinds of arrays, markers networks; crosses are machines as synthesised, at the area
    that they were mapped to and the clock that they reached.
    """
    networks = list(dict.fromkeys(point.network for point in found.points))
    markers = {name: _MARKERS[n % len(_MARKERS)] for n, name in enumerate(networks)}
    codebooks = {point.network: point.codebook for point in found.points}
    with mpl.rc_context({"svg.hashsalt": "tritone", "svg.fonttype": "none"}):
        figure = Figure(figsize=(9, 6), layout="constrained")
        axis = figure.subplots()
        for network in networks:
            for kind, color in _COLORS.items():
                own = [
                    point
                    for point in found.points
                    if point.network == network and point.candidate.machine.array is kind
                ]
                if not own:
                    continue
                axis.scatter(
                    [point.candidate.area.sites for point in own],
                    [point.fps for point in own],
                    s=18,
                    color=color,
                    alpha=0.35,
                    marker=markers[network],
                    label=f"{network} ({codebooks[network]}) on {kind.value}",
                )
        for network in networks:
            own = [point for point in found.front if point.network == network]
            axis.plot(
                [point.candidate.area.sites for point in own],
                [point.fps for point in own],
                color="black",
                linewidth=0.8,
                marker=markers[network],
                markersize=5,
                markerfacecolor="none",
            )
            for number, point in enumerate(own):
                machine = point.candidate.machine
                # Neighbours on two sides of the line.
                offset, side = (((-4, 4), "right"), ((4, -10), "left"))[number % 2]
                axis.annotate(
                    f"{machine.rows}×{machine.columns}×{machine.pixels}",
                    (point.candidate.area.sites, point.fps),
                    xytext=offset,
                    textcoords="offset points",
                    ha=side,
                    fontsize="x-small",
                )
        _draw_synthesised(found, synthesised, axis)
        axis.set_xscale("log")
        axis.set_yscale("log")
        axis.margins(0.08)  # for the labels of the outermost machines
        axis.set_xlabel(f"lookup tables, estimated; {found.device.name} has {found.device.sites:,}")
        axis.set_ylabel("frames a second, by the class of clock")
        axis.set_title(f"Machines that fit {found.device.name}, the Pareto front as a line")
        axis.grid(alpha=0.3, which="both")
        axis.legend(fontsize="small")
        data = io.BytesIO()
        figure.savefig(data, format="svg", metadata={"Date": None})
    write_atomically(path, data.getvalue())


def _draw_synthesised(found: Exploration, synthesised: Sequence[dict[str, Any]], axis: Any) -> None:
    """Draw a cross for each machine that was placed."""
    cycles = {
        f"{point.candidate.machine.fingerprint:016x}": point.candidate.cycles
        for point in found.front
    }
    placed = [row for row in synthesised if row.get("fmax_mhz")]
    if placed:
        axis.scatter(
            [row["mapped_sites"] for row in placed],
            [row["fmax_mhz"] * 1e6 / cycles[row["fingerprint"]] for row in placed],
            color="black",
            marker="x",
            label="as mapped, at the clock as placed",
        )
