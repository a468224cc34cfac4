# SPDX-License-Identifier: Apache-2.0
"""Arrays of 4-bit weights side by side: rows of the hardware table, with what networks reach."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tritone.spec.catalog import CATALOG
from tritone.spec.device import DEVICES, Family

__all__ = ["ArrayFigures", "compare_arrays", "comparison_lines", "is_compared"]

_REFERENCE = "post4"
# Trainings that differ in the codebook alone.
_TRAINING = {
    "model": "resnet20",
    "weight_bits": 4,
    "act_bits": 4,
    "estimator": "ste",
    "activations": "lsq",
    "multipliers": "integer",
    "epochs_exact": None,
}


@dataclass(frozen=True, kw_only=True)
class ArrayFigures:
    """What is known of an array.

    Parameters
    ----------
    machine, codebook : which array, of which weights.
    sites, clocks : lookup tables of 4 inputs for each multiply-accumulate a cycle, and MHz, each
        placement on ECP5.
    ff : flip-flops there, likewise.
    luts, mapped_ff : lookup tables of 6 inputs and flip-flops, likewise, mapped to the 7 series.
    top1 : %, mean of the seeds; None where nothing is trained.
    epochs : of that training.
    """

    machine: str
    codebook: str
    sites: tuple[float, ...]
    clocks: tuple[float, ...]
    ff: float | None
    luts: float | None
    mapped_ff: float | None
    top1: float | None
    epochs: int | None

    @property
    def mean_sites(self) -> float | None:
        """Mean of the placements."""
        return statistics.mean(self.sites) if self.sites else None

    @property
    def median_clock(self) -> float | None:
        """Median of the placements."""
        return statistics.median(self.clocks) if self.clocks else None


def is_compared(row: Mapping[str, Any]) -> bool:
    """Return whether a row is of an array of this comparison: codebook and device are ours."""
    known = row["codebook"] in CATALOG and row["device"] in DEVICES
    return row["kind"] == "array" and known


def compare_arrays(
    rows: Sequence[Mapping[str, Any]], trained: Sequence[Mapping[str, Any]]
) -> list[ArrayFigures]:
    """Return the arrays, those of the fewest sites first.

    Parameters
    ----------
    rows : of hardware.json.
    trained : rows of trained networks; none: nothing is known of them.
    """
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        if is_compared(row):
            groups.setdefault((row["machine"], row["codebook"]), []).append(row)
    found = []
    for (machine, codebook), group in groups.items():
        placed = [row for row in group if row["fmax_mhz"] is not None]
        mapped = [row for row in group if DEVICES[row["device"]].family is Family.XC7]
        top1, epochs = _top1(codebook, trained)
        found.append(
            ArrayFigures(
                machine=machine,
                codebook=codebook,
                sites=tuple(row["sites_per_mac"] for row in placed),
                clocks=tuple(row["fmax_mhz"] for row in placed),
                ff=_each(placed, "ff"),
                luts=mapped[0]["sites_per_mac"] if mapped else None,
                mapped_ff=_each(mapped, "ff"),
                top1=top1,
                epochs=epochs,
            )
        )
    return sorted(found, key=lambda each: (each.mean_sites or 1e9, each.machine))


def _each(rows: Sequence[Mapping[str, Any]], name: str) -> float | None:
    """Return what the first row has for each multiply-accumulate; None: there is no row."""
    return rows[0][name] / rows[0]["macs_per_cycle"] if rows else None


def _top1(codebook: str, trained: Sequence[Mapping[str, Any]]) -> tuple[float | None, int | None]:
    """Return top-1 and epochs of the longest training with that codebook."""
    wanted = _TRAINING | {"codebook": codebook}
    mine = [
        row
        for row in trained
        if all(row.get(name) == value for name, value in wanted.items())
        and row.get("top1_frozen") is not None
    ]
    if not mine:
        return None, None
    epochs = max(int(row["epochs"]) for row in mine)
    return statistics.mean(row["top1_frozen"] for row in mine if row["epochs"] == epochs), epochs


def comparison_lines(arrays: Sequence[ArrayFigures]) -> list[str]:
    """Return the section of the page: a table, and which arrays are smaller than POST's."""
    lines = [
        "## Arrays of 4-bit weights and activations",
        "",
        "Each between the same shift register and tree of parities, which count, no DSP: lookup",
        "tables and flip-flops for each multiply-accumulate a cycle, after place and route on",
        "ECP5 (speed 6), and mapped to the 7 series, two functions to a LUT6 where its inputs",
        "allow, and one for each signal that has no other way into a carry chain. Clock: lowest,",
        "median and highest of the placements. Top-1: ResNet-20 on CIFAR-10, all layers but the",
        "first and last of that codebook, frozen to integers, from cifar10.json.",
        "",
        "| array | codebook | ECP5 sites | of post | ff | MHz | LUT6 | of post | ff | top-1 |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    reference = next((each for each in arrays if each.codebook == _REFERENCE), None)
    for each in arrays:
        clocks = sorted(each.clocks)
        clock = "-"
        if each.median_clock is not None:
            clock = f"{clocks[0]:.0f} / {each.median_clock:.0f} / {clocks[-1]:.0f}"
        top1 = "-" if each.top1 is None else f"{each.top1:.2f} ({each.epochs} epochs)"
        cells = [
            each.machine,
            each.codebook,
            _figure(each.mean_sites),
            _ratio(each.mean_sites, reference.mean_sites if reference else None),
            _figure(each.ff),
            clock,
            _figure(each.luts),
            _ratio(each.luts, reference.luts if reference else None),
            _figure(each.mapped_ff),
            top1,
        ]
        lines.append("| " + " | ".join(cells) + " |")
    if reference is not None:
        lines += ["", *_verdicts(arrays, reference)]
    return [*lines, ""]


def _verdicts(arrays: Sequence[ArrayFigures], reference: ArrayFigures) -> list[str]:
    """Return a line for each device family: what is smaller than the reference."""
    lines = []
    for family, name in (("ECP5", "mean_sites"), ("7 series", "luts")):
        own = getattr(reference, name)
        figures = {each.machine: getattr(each, name) for each in arrays}
        smaller = [
            f"{machine} ({100 * (1 - value / own):.1f} % less)"
            for machine, value in sorted(figures.items(), key=lambda item: item[1] or 0)
            if own is not None and value is not None and value < own
        ]
        what = ", ".join(smaller) if smaller else "none"
        lines += [f"- Smaller than {reference.machine} on {family}: {what}."]
    return lines


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _ratio(value: float | None, own: float | None) -> str:
    return "-" if value is None or own is None else f"{value / own:.2f}"
