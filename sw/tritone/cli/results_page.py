# SPDX-License-Identifier: Apache-2.0
"""Pages of results: a table of measured rows as Markdown."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from tritone.cli.array_comparison import compare_arrays, comparison_lines
from tritone.cli.block_errors import block_errors
from tritone.cli.size_trend import trend_lines

__all__ = [
    "TRAINING",
    "Row",
    "group_settings",
    "has_picture",
    "is_estimator",
    "is_hardware",
    "is_training",
    "render",
    "trained_rows",
]

Row = dict[str, Any]

# The table whose networks the hardware table tells the accuracy of.
_TRAINED = "cifar10"

# What a source begins with that can be run.
_COMMANDS = ("tritone ", "make ", "python ")

# Recipes of runs, in a folder beside the tables.
_RECIPES = "recipes"

_SECTION = ("model", "weight_bits", "act_bits")
# What the row of a trained network has.
TRAINING = (
    *_SECTION,
    "method",
    "codebook",
    "estimator",
    "activations",
    "multipliers",
    "distillation",
    "arithmetic",
    "epochs",
    "epochs_exact",
    "seed",
    "top1_fp32",
    "top1_finetuned",
    "top1_quant",
    "top1_frozen",
    "top1_static",
    "golden_equal",
    "device",
    "commit",
    "recipe",
    "command",
    "setting",
)
# What has no column on the page: its section's title says it, or it is nothing for people, or long.
_HIDDEN = {*_SECTION, "method", "command", "setting"}
_COLUMNS = tuple(name for name in TRAINING if name not in _HIDDEN)


_HARDWARE_NOTE = """Sites are lookup tables: of 4 inputs,
after place and route, on ECP5 and iCE40; of 6 inputs on the 7 series and of 4 on Gowin, mapped
only (those of an array with two functions to a lookup table where its inputs allow). Those of an
accelerator count everything but the serial port that stands in for its buses.
fps is fmax, of a board its clock, / cycles per image of the same machine: on paper. Rows marked
published are what their authors say; a dash is not known."""

_NETLIST_NOTE = """The netlist that place and route gets,
in Verilator with yosys' models of its cells and, for block memories and ECP5's multipliers, those
of `hw/tritone_hw/synthesis/cells`: every value of every tensor compared with the golden machine,
cycles with those of the machine's own Verilog (rtl) and those predicted."""

_TOGGLES_NOTE = """A proxy for power, to compare machines, in no
unit of it: bits of registers, those behind the read ports of memories among them, that change for
an image, in the simulation of the machine's portable Verilog, by block. Wires, what glitches there,
the clock and the memories themselves are not in it."""

_ESTIMATOR_NOTE = """Machines that were drawn before anything
was fitted and mapped whole, as `tritone synth` maps them, beside what `tritone estimate` says of
them, which is fitted to other machines (`python -m tritone_hw.synthesis.area_sweep`). Sites, block
memories (bram) and multipliers (dsp) of ECP5, without the serial port of the tools. Below, the
worst error of each block among these machines."""


def trained_rows(table: Path) -> list[Row]:
    """Return the rows of trained networks that lie beside a table of hardware."""
    path = table.with_name(f"{_TRAINED}.json")
    rows: list[Row] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
    return rows


def is_training(rows: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether the rows are those of trained networks."""
    return any("top1_frozen" in row for row in rows)


def is_hardware(rows: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether the rows are those of synthesised designs."""
    return any("sites_per_mac" in row for row in rows)


def is_estimator(rows: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether the rows are those of estimates beside synthesis."""
    return any("estimated_sites" in row for row in rows)


def has_picture(rows: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether there is something to compare: networks trained with several settings."""
    return is_training(rows) and len(group_settings(rows)) > 1


def group_settings(rows: Iterable[Mapping[str, Any]]) -> list[list[Mapping[str, Any]]]:
    """Return the rows of each setting, by seed; settings by model, bits, epochs and codebook."""
    found: dict[Any, list[Mapping[str, Any]]] = {}
    for row in rows:
        found.setdefault(row["setting"], []).append(row)
    groups = [sorted(group, key=lambda row: int(row["seed"])) for group in found.values()]
    return sorted(groups, key=lambda group: _order(group[0]))


def _order(row: Mapping[str, Any]) -> tuple[Any, ...]:
    bits = (-row["weight_bits"], -row["act_bits"], row["epochs"])
    words = (row["codebook"], row["estimator"], row["activations"], row["setting"])
    return (row["model"], *bits, *words)


def _cell(name: str, value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if name == "command" or (name == "source" and value.startswith(_COMMANDS)):
        command, at, commit = value.partition(", at ")  # where it is not the present code
        return f"`{command}`{at}{commit}"
    if name.endswith("error_percent"):
        return f"{value:+.2f}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name.endswith("utilisation"):
        return f"{100 * value:.2f} %"
    if name.startswith("top1"):
        return f"{value:.2f}"
    if name == "commit":
        return str(value)[:7]
    if name == "distillation":
        return f"{value:g}"
    if name == "seconds":
        return f"{value:.0f}"
    if isinstance(value, float):
        return f"{value:,.1f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _table(names: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [
        "| " + " | ".join(name.replace("_", " ") for name in names) + " |",
        "|" + "---|" * len(names),
        *("| " + " | ".join(cells) + " |" for cells in rows),
    ]


def render(table: Path, rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the Markdown of the table in that file.

    Rows of trained networks are grouped by bits; seeds of one setting share a line with their mean
    and standard deviation; recipes in the folder ``recipes`` beside the table without a row are
    named. Other tables have a column for each key.
    """
    lines = [f"# Results: {table.stem}", ""]
    if is_training(rows):
        lines += _training_page(table, rows)
    else:
        note = "Top-1 in % of the images that ran."
        if is_hardware(rows):
            note = _HARDWARE_NOTE
        elif all("netlist" in row for row in rows):
            note = _NETLIST_NOTE
        elif all("toggles" in row for row in rows):
            note = _TOGGLES_NOTE
        elif is_estimator(rows):
            note = _ESTIMATOR_NOTE
        lines += [f"Rendered from {table.name} by `tritone report`. {note}", ""]
        if is_hardware(rows):
            lines += [f"![Sites for each multiply-accumulate a cycle]({table.stem}.svg)", ""]
            lines += comparison_lines(compare_arrays(rows, trained_rows(table)))
            lines += trend_lines(rows)
            lines += ["## All rows", ""]
        names = list(dict.fromkeys(name for row in rows for name in row if name != "blocks"))
        lines += _table(names, ([_cell(name, row.get(name)) for name in names] for row in rows))
        if is_estimator(rows):
            lines += ["", *_block_errors(rows)]
    return "\n".join([*lines, ""])


def _block_errors(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the table of the worst error of each block among estimated machines."""
    worst = [
        [name, f"{share:+.1f}", f"{sites:+.0f}", machine]
        for name, share, sites, machine in block_errors(rows)
    ]
    return _table(("block", "worst_error_percent", "sites", "machine"), worst)


def _training_page(table: Path, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = [
        f"Rendered from {table.name} by `tritone sweep` and `tritone report`. Top-1 in % of the",
        "whole test set after the last epoch: in full precision, quantised, frozen to integers. A",
        "line of several seeds has their mean ± standard deviation. Golden equal: test images of",
        "which every logit of the frozen PyTorch model is that of the golden model, of each seed",
        "(`tritone check`). Static: frozen with each adaptive step (asq) replaced by its mean over",
        "training images. Commit: the code that trained it, which another one may repeat in other",
        "digits.",
    ]
    if has_picture(rows):
        lines += ["", f"![Top-1 by codebook and bits]({table.stem}.svg)"]
    for _, section in groupby(group_settings(rows), lambda group: _named(group[0], _SECTION)):
        groups = list(section)
        names = [name for name in _COLUMNS if _is_known(name, groups)]
        model, weights, activations = _named(groups[0][0], _SECTION)
        lines += [
            "",
            f"## {model}, {weights}-bit weights, {activations}-bit activations",
            "",
            *_table(names, ([_summary(name, group, table) for name in names] for group in groups)),
        ]
    missing = _not_run(table, rows)
    if missing:
        lines += ["", "## Not run", "", *(f"- {_link(path, table)}" for path in missing)]
    lines += ["", "## Commands", "", "```"]
    commands = [row["command"] for group in group_settings(rows) for row in group]
    return [*lines, *dict.fromkeys(commands), "```"]


def _named(row: Mapping[str, Any], names: Sequence[str]) -> list[Any]:
    return [row[name] for name in names]


def _is_known(name: str, groups: Iterable[Sequence[Mapping[str, Any]]]) -> bool:
    return any(row.get(name) is not None for group in groups for row in group)


def _summary(name: str, group: Sequence[Mapping[str, Any]], table: Path) -> str:
    """Return the cell of a setting whose seeds have the rows ``group``."""
    values = [row.get(name) for row in group]
    if name == "recipe":
        return _link(Path(values[0]), table) if values[0] else "-"
    if name == "seed":
        return ", ".join(str(value) for value in values)
    known = [value for value in values if value is not None]
    if name.startswith("top1") and len(known) > 1:
        mean, spread = statistics.mean(known), statistics.stdev(known)
        return f"{mean:.2f} ± {spread:.2f}" if spread else f"{mean:.2f}"
    return ", ".join(dict.fromkeys(_cell(name, value) for value in values))


def _link(recipe: Path, table: Path) -> str:
    """Return the name of a recipe, as a link where it lies beside the table."""
    for path in sorted((table.parent / _RECIPES).rglob(recipe.name)):
        return f"[{recipe.stem}]({path.relative_to(table.parent).as_posix()})"
    return recipe.stem


def _not_run(table: Path, rows: Sequence[Mapping[str, Any]]) -> list[Path]:
    """Return the recipes beside the table, for its data set, that have no row."""
    from tritone.qat.identity import setting_digest
    from tritone.qat.recipe import load_recipe

    done = {(row["setting"], row["seed"]) for row in rows}
    missing = []
    for path in sorted((table.parent / _RECIPES).rglob("*.toml")):
        recipe = load_recipe(path)
        mine = recipe.dataset == table.stem and not recipe.data.validation
        if mine and (setting_digest(recipe), recipe.seed) not in done:
            missing.append(path)
    return missing
