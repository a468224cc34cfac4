# SPDX-License-Identifier: Apache-2.0
"""Tables of measured results: rows in JSON, rendered to Markdown beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tritone.spec.storage import write_atomically, write_json

__all__ = ["add_run", "render", "render_folder"]

Row = dict[str, Any]

_METHOD = ("model", "method", "estimator", "codebook", "weight_bits", "act_bits", "epochs", "seed")
_TRAINING = (*_METHOD, "top1_fp32", "top1_quant", "top1_frozen", "device", "command")
_ACCELERATOR_KEY = ("network", "codebook", "weight_bits", "act_bits", "machine", "fingerprint")
_ACCELERATOR = (
    *_ACCELERATOR_KEY,
    "images",
    "tensors",
    "values",
    "mismatches",
    "cycles_per_image",
    "predicted_cycles_per_image",
    "mac_cycles_per_image",
    "utilisation",
    "top1",
    "seconds",
    "command",
)
_ACCELERATOR_TABLE = "accelerator"


def _read_rows(path: Path) -> list[Row]:
    rows: list[Row] = json.loads(path.read_text()) if path.is_file() else []
    return rows


def _put(path: Path, row: Row, key: Sequence[str]) -> None:
    """Put ``row`` in place of the one that measured the same, or at the end."""
    rows = _read_rows(path)
    same = [[each.get(name) for name in key] for each in rows]
    mine = [row.get(name) for name in key]
    if mine in same:
        rows[same.index(mine)] = row
    else:
        rows.append(row)
    write_json(path, rows)
    write_atomically(path.with_suffix(".md"), render(path.stem, rows).encode())


def add_run(run: Path, results: Path, command: str, device: str) -> list[Path]:
    """Add what the run folder ``run`` measured to the tables in ``results``.

    ``train.json`` goes to ``<dataset>.json``, ``sim.json`` to ``accelerator.json``; a row of the
    same method, or of the same network and machine, is replaced. Returns the tables.

    Raises
    ------
    ValueError : the run was measured on validation images, or there are mismatches in it.
    FileNotFoundError : there is no train.json in ``run``.
    """
    path = run / "train.json"
    if not path.is_file():
        raise FileNotFoundError(f"{path} must be there; make it with: tritone train")
    training: Row = json.loads(path.read_text())
    if training.get("images", "test") != "test":
        raise ValueError(f"Run {run} must be measured on test images, not {training['images']}")
    simulation: Row = {}
    if (run / "sim.json").is_file():
        simulation = json.loads((run / "sim.json").read_text())
        if simulation["mismatches"]:
            raise ValueError(f"Run {run} must have no mismatches, not {simulation['mismatches']}")

    rows: list[tuple[str, Sequence[str], Sequence[str], Row]] = [
        (training["dataset"], _TRAINING, _METHOD, {**training, "device": device})
    ]
    if simulation:
        named = {name: training.get(name) for name in ("codebook", "weight_bits", "act_bits")}
        rows.append((_ACCELERATOR_TABLE, _ACCELERATOR, _ACCELERATOR_KEY, {**simulation, **named}))
    tables = []
    for title, names, key, row in rows:
        row["command"] = command
        tables.append(results / f"{title}.json")
        _put(tables[-1], {name: row.get(name) for name in names}, key)
    return tables


def _cell(name: str, value: Any) -> str:
    if value is None:
        return "-"
    if name == "command":
        return f"`{value}`"
    if name == "utilisation":
        return f"{100 * value:.2f} %"
    if name.startswith("top1"):
        return f"{value:.2f}"
    if name == "seconds":
        return f"{value:.0f}"
    if isinstance(value, float):
        return f"{value:,.1f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def render(title: str, rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the Markdown of a table; its columns are the keys of the rows."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = [
        f"# Results: {title}",
        "",
        f"Rendered from {title}.json by `tritone report`. Top-1 in % of the whole test set after",
        "the last epoch; that of the Verilog is of the images it ran.",
        "",
        "| " + " | ".join(name.replace("_", " ") for name in names) + " |",
        "|" + "---|" * len(names),
    ]
    lines += [
        "| " + " | ".join(_cell(name, row.get(name)) for name in names) + " |" for row in rows
    ]
    return "\n".join([*lines, ""])


def render_folder(results: Path) -> dict[Path, str]:
    """Return what the Markdown files of a folder of results must hold."""
    return {
        path.with_suffix(".md"): render(path.stem, _read_rows(path))
        for path in sorted(results.glob("*.json"))
    }
