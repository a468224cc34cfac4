# SPDX-License-Identifier: Apache-2.0
"""A picture of results: the top-1 of each setting, by bits."""

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

__all__ = ["draw_top1", "setting_names", "top1_digest"]

# What tells settings of the same bits apart, beside the codebook, and what goes without saying.
_USUAL = {
    "estimator": "ste",
    "activations": "lsq",
    "multipliers": "integer",
    "distillation": 0.0,
    "arithmetic": "float32",
}
_SECTION = ("model", "weight_bits", "act_bits")
_DRAWN = (*_SECTION, "codebook", *_USUAL, "epochs", "setting", "seed", "top1_fp32", "top1_frozen")
_LINE = 0.28  # inches that a setting takes
_FRAME = 0.9  # and that a section takes around them
_FIGURES = 0.2  # part of the width that is added for the figures of the leftmost points

Group = list[Mapping[str, Any]]


def top1_digest(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the SHA-256 of what is drawn; it stands in the file, as its description."""
    # Rows from before there was exact training do not say that they had none.
    drawn = [
        {name: row[name] for name in _DRAWN}
        | ({"epochs_exact": row["epochs_exact"]} if row.get("epochs_exact") else {})
        for group in group_settings(rows)
        for row in group
    ]
    return hashlib.sha256(json.dumps(drawn, sort_keys=True).encode()).hexdigest()


def setting_names(groups: Sequence[Group]) -> list[str]:
    """Return a name for each setting: codebook, whatever is not usual, epochs if these differ."""
    various = len({group[0]["epochs"] for group in groups}) > 1
    names = []
    for group in groups:
        row = group[0]
        words = [str(row["codebook"])]
        for key, usual in _USUAL.items():
            if row[key] != usual:
                words.append(f"teacher {row[key]:g}" if key == "distillation" else row[key])
        if various:
            words.append(f"{row['epochs']} epoch" + "s" * (row["epochs"] != 1))
        if row.get("epochs_exact"):
            words.append(f"{row['epochs_exact']} exact")
        names.append(", ".join(words))
    return names


def draw_top1(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw the top-1 of the integer networks as an SVG: a line for each setting, grouped by bits.

    Points are means over the seeds, bars the standard deviation; the dashed line is full precision.
    """
    groups = group_settings(rows)
    names = setting_names(groups)
    sections: dict[tuple[Any, ...], list[tuple[str, Group]]] = {}
    for name, group in zip(names, groups, strict=True):
        place = tuple(group[0][key] for key in _SECTION)
        sections.setdefault(place, []).append((name, group))
    heights = [_FRAME + _LINE * len(section) for section in sections.values()]
    figure = Figure(figsize=(9, sum(heights)), layout="constrained")
    axes = figure.subplots(
        len(sections), 1, squeeze=False, sharex=True, gridspec_kw={"height_ratios": heights}
    )[:, 0]
    for axis, (place, section) in zip(axes, sections.items(), strict=True):
        model, weights, activations = place
        _draw_section(axis, section)
        axis.set_title(f"{model}, W{weights}A{activations}", loc="left", fontsize="medium")
    low, high = axes[0].get_xlim()
    # On the left are the figures.
    axes[0].set_xlim(low - _FIGURES * (high - low), high)
    axes[-1].set_xlabel(
        "top-1 of the integer network in %\nestimator ste, activations lsq, 16-bit multipliers and "
        "float32 where nothing else is said",
        fontsize="small",
    )
    data = io.BytesIO()
    # The same rows give the same bytes.
    with mpl.rc_context({"svg.hashsalt": "tritone"}):
        metadata = {"Date": None, "Description": top1_digest(rows)}
        figure.savefig(data, format="svg", metadata=metadata)
    write_atomically(path, data.getvalue())


def _mean(group: Group) -> float:
    return statistics.fmean(row["top1_frozen"] for row in group)


def _draw_section(axis: Axes, section: Sequence[tuple[str, Group]]) -> None:
    """Draw settings below each other, the best one first, with their figures."""
    section = sorted(section, key=lambda entry: -_mean(entry[1]))
    for number, (_, group) in enumerate(section):
        values = [row["top1_frozen"] for row in group]
        mean = _mean(group)
        spread = statistics.stdev(values) if len(values) > 1 else None
        axis.errorbar(mean, number, xerr=spread, marker="o", color="C0", capsize=3)
        text = f"{mean:.2f}" if spread is None else f"{mean:.2f} ± {spread:.2f}"
        left = (mean - (spread or 0.0), number)
        axis.annotate(text, left, (-8, 0), textcoords="offset points", ha="right", va="center")
    full = [
        row["top1_fp32"] for _, group in section for row in group if row["top1_fp32"] is not None
    ]
    if full:
        mean = statistics.mean(full)
        axis.axvline(mean, color="black", linestyle="--", label=f"full precision, {mean:.2f} %")
        axis.legend(fontsize="x-small", loc="lower right", bbox_to_anchor=(1, 1), frameon=False)
    axis.set_yticks(range(len(section)), [name for name, _ in section], fontsize="small")
    axis.set_ylim(len(section) - 0.5, -0.5)
    axis.grid(axis="x", alpha=0.3)
