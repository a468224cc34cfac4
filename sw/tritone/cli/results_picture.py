# SPDX-License-Identifier: Apache-2.0
"""A picture of results: top-1 over bits, by codebook and method."""

from __future__ import annotations

import hashlib
import io
import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tritone.cli.results_page import group_settings
from tritone.spec.storage import write_atomically

__all__ = ["draw_top1", "series_names", "top1_digest"]

# What tells settings of the same bits apart, most telling first.
_TELLING = ("codebook", "estimator", "activations", "multipliers", "distillation", "epochs")
_BITS = ("weight_bits", "act_bits")
_DRAWN = ("model", *_BITS, *_TELLING, "setting", "seed", "top1_fp32", "top1_frozen")
_SPREAD = 0.7  # of the points of one group, where the groups are 1 apart
_MARKERS = "osD^v<>ph*"

Group = list[Mapping[str, Any]]


def top1_digest(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the SHA-256 of what is drawn; it stands in the file, as its description."""
    drawn = [
        {name: row[name] for name in _DRAWN} for group in group_settings(rows) for row in group
    ]
    return hashlib.sha256(json.dumps(drawn, sort_keys=True).encode()).hexdigest()


def series_names(groups: Sequence[Group]) -> list[str]:
    """Return a name for each setting: its codebook and whatever not all of them have alike."""
    differ = [name for name in _TELLING if len({group[0][name] for group in groups}) > 1]
    names = []
    for group in groups:
        row = group[0]
        words = [str(row["codebook"])]
        for name in differ:
            match name:
                case "codebook":
                    continue
                case "epochs":
                    words.append(f"{row[name]} epochs")
                case "distillation":
                    words += [f"teacher {row[name]:g}"] if row[name] else []
                case _:
                    words.append(str(row[name]))
        names.append(", ".join(words))
    return names


def draw_top1(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw the top-1 of the integer networks as an SVG, with axes for each model.

    Points are means over the seeds, bars the standard deviation; the dashed line is full precision.
    """
    models = list(dict.fromkeys(group[0]["model"] for group in group_settings(rows)))
    figure = Figure(figsize=(9, 4.5 * len(models)), layout="constrained")
    axes = figure.subplots(len(models), 1, squeeze=False)[:, 0]
    for axis, model in zip(axes, models, strict=True):
        groups = [group for group in group_settings(rows) if group[0]["model"] == model]
        _draw_model(axis, groups)
        axis.set_title(model)
    data = io.BytesIO()
    # The same rows give the same bytes.
    with mpl.rc_context({"svg.hashsalt": "tritone"}):
        metadata = {"Date": None, "Description": top1_digest(rows)}
        figure.savefig(data, format="svg", metadata=metadata)
    write_atomically(path, data.getvalue())


def _draw_model(axis: Axes, groups: Sequence[Group]) -> None:
    """Draw settings: a place on the axis for each pair of bits, within it a place for each name."""
    names = series_names(groups)
    places = sorted({tuple(group[0][name] for name in _BITS) for group in groups})
    colors = {name: f"C{index % 10}" for index, name in enumerate(dict.fromkeys(names))}
    markers = {name: _MARKERS[index // 10 % len(_MARKERS)] for index, name in enumerate(colors)}
    for number, place in enumerate(places):
        here = [
            (group, name)
            for group, name in zip(groups, names, strict=True)
            if tuple(group[0][key] for key in _BITS) == place
        ]
        for index, (group, name) in enumerate(here):
            values = [row["top1_frozen"] for row in group]
            spread = statistics.stdev(values) if len(values) > 1 else 0.0
            axis.errorbar(
                number + _SPREAD * ((index + 0.5) / len(here) - 0.5),
                statistics.mean(values),
                yerr=spread or None,
                color=colors[name],
                marker=markers[name],
                linestyle="none",
                capsize=3,
                label=name,
            )
    full = [row["top1_fp32"] for group in groups for row in group if row["top1_fp32"] is not None]
    if full:
        mean = statistics.mean(full)
        axis.axhline(mean, color="black", linestyle="--", label=f"full precision, {mean:.2f} %")
    axis.set_xticks(range(len(places)), [f"W{weights}A{acts}" for weights, acts in places])
    axis.set_xlim(-0.5, len(places) - 0.5)
    axis.set_ylabel("top-1 of the integer network in %")
    axis.grid(axis="y", alpha=0.3)
    handles, labels = axis.get_legend_handles_labels()
    once = dict(zip(labels, handles, strict=True))
    axis.legend(
        once.values(), once.keys(), fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5)
    )
