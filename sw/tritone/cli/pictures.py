# SPDX-License-Identifier: Apache-2.0
"""Pictures of a run: how the training went, which levels the weights use, what limits layers."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from tritone.compiler import Description
from tritone.graph import Convolution, Network
from tritone.qat.history import CodeUse, EpochRecord
from tritone.spec.catalog import codebook
from tritone.spec.machine import BEAT_BYTES
from tritone.spec.storage import write_atomically

__all__ = [
    "code_use",
    "draw_levels",
    "draw_quantizers",
    "draw_roofline",
    "draw_training",
    "level_counts",
]

_DOTS_PER_INCH = 120

# Layers that use less of the array than this get their names in the roofline.
_NAMED_BELOW = 0.9


def _save(figure: Figure, path: Path) -> None:
    """Write a PNG whole or not at all."""
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=_DOTS_PER_INCH)
    write_atomically(path, data.getvalue())


def draw_training(history: Sequence[EpochRecord], path: Path) -> None:
    """Draw loss and top-1 of the training images over the epochs of all stages."""
    figure = Figure(figsize=(7, 5), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True)
    stages = list(dict.fromkeys(record.stage for record in history))
    for stage in stages:
        epochs = [index + 1 for index, record in enumerate(history) if record.stage == stage]
        records = [record for record in history if record.stage == stage]
        upper.plot(epochs, [record.loss for record in records], label=stage)
        lower.plot(epochs, [record.top1 for record in records], label=stage)
    upper.set_ylabel("training loss")
    lower.set_ylabel("training top-1 in %")
    lower.set_xlabel("epoch")
    upper.legend()
    _save(figure, path)


def draw_quantizers(history: Sequence[EpochRecord], path: Path) -> bool:
    """Draw what the quantisers did over the epochs: clip rates, deltas, alpha, betas.

    Each has axes where the run has it. Return whether there was anything to draw.
    """
    records = [record for record in history if record.observation is not None]
    seen = [record.observation for record in records if record.observation is not None]
    drawn = {
        "clipped values in %": [
            {name: 100 * rate for name, rate in each.clipped.items()} for each in seen
        ],
        "delta of EWGS": [record.deltas for record in records],
        "alpha of blending": [
            {} if record.blend is None else {"all layers": record.blend} for record in records
        ],
        "beta of ASQ: median, quartiles, range": [
            {name: values[2] for name, values in each.betas.items()} for each in seen
        ],
    }
    kept = {title: values for title, values in drawn.items() if any(values)}
    if not kept:
        return False
    epochs = [record.epoch for record in records]
    figure = Figure(figsize=(8, 3 * len(kept)), layout="constrained")
    axes = figure.subplots(len(kept), 1, squeeze=False)[:, 0]
    for axis, (title, values) in zip(axes, kept.items(), strict=True):
        for name in dict.fromkeys(name for each in values for name in each):
            points = [each.get(name, np.nan) for each in values]
            (line,) = axis.plot(epochs, points, marker=".", label=name)
            if title.startswith("beta"):
                spread = np.array([each.betas.get(name, [np.nan] * 5) for each in seen])
                color = line.get_color()
                axis.fill_between(epochs, spread[:, 1], spread[:, 3], color=color, alpha=0.3)
                axis.fill_between(epochs, spread[:, 0], spread[:, 4], color=color, alpha=0.1)
        axis.set_ylabel(title)
        axis.legend(fontsize="x-small", ncols=2, loc="center left", bbox_to_anchor=(1, 0.5))
    axes[-1].set_xlabel("epoch of the fine-tuning")
    _save(figure, path)
    return True


def code_use(network: Network) -> dict[str, CodeUse]:
    """Return the weight codes that each layer of an exported network uses."""
    return {
        node.name: CodeUse(
            codebook=node.codebook,
            times=np.bincount(
                node.codes.ravel(), minlength=1 << codebook(node.codebook).bits
            ).tolist(),
        )
        for node in network.nodes
        if isinstance(node, Convolution)
    }


def level_counts(use: CodeUse) -> tuple[list[float], list[int]]:
    """Return the levels of a codebook for alpha = 1, sorted, and how often each is used."""
    book = codebook(use.codebook)
    values = {code: book.value(code) for code, level in enumerate(book.levels) if level is not None}
    counts = dict.fromkeys(sorted(values.values()), 0)
    for code, times in enumerate(use.times):
        if times:
            counts[values[code]] += times
    return list(counts), list(counts.values())


def draw_levels(layers: Mapping[str, CodeUse], path: Path) -> None:
    """Draw, for each layer, how often each weight level is used."""
    figure = Figure(figsize=(7, 1.6 * len(layers)), layout="constrained")
    axes = figure.subplots(len(layers), 1, squeeze=False)[:, 0]
    for axis, (layer, use) in zip(axes, layers.items(), strict=True):
        values, counts = level_counts(use)
        axis.vlines(values, 0, counts, linewidth=max(0.8, 40 / len(values)))
        axis.set_title(f"{layer}: {use.codebook}", fontsize=mpl.rcParams["font.size"])
        axis.set_ylabel("weights")
        axis.set_xlim(-1.05, 1.05)
    axes[-1].set_xlabel("level (alpha = 1)")
    _save(figure, path)


def draw_roofline(cost: Description, path: Path) -> None:
    """Draw the predicted multiply-accumulates a cycle of each layer, passes counted, and two roofs.

    One is the array's. The other, the bus's, would hold for layers whose weights, input and output
    did not stay on the chip: what lies above it needs the memories that the machine has.
    """
    layers = [layer for layer in cost.layers if layer.macs]
    reuse = np.array([layer.passes * layer.macs / layer.bytes for layer in layers])
    rate = np.array([layer.credited * layer.capacity for layer in layers])
    figure = Figure(figsize=(7, 5), layout="constrained")
    axis = figure.subplots()
    line = np.geomspace(min(1.0, reuse.min() / 2), max(cost.capacity, reuse.max()) * 2, 200)
    axis.loglog(line, np.full_like(line, cost.capacity), label="array")
    axis.loglog(line, BEAT_BYTES * line, linestyle="--", label=f"bus, {BEAT_BYTES} bytes a cycle")
    axis.loglog(reuse, rate, "o", label="layers")
    for layer, x, y in zip(layers, reuse, rate, strict=True):
        # The layers at the roof lie one over the other.
        if layer.credited < _NAMED_BELOW:
            axis.annotate(layer.layer, (x, y), fontsize="x-small")
    axis.set_ylim(top=4 * cost.capacity)
    axis.set_xlabel("multiply-accumulates for each byte of weights, input and output")
    axis.set_ylabel("multiply-accumulates a cycle")
    axis.legend()
    _save(figure, path)
