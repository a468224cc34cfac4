# SPDX-License-Identifier: Apache-2.0
"""Rows of measured results in JSON, with a page and a picture of them beside it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from tritone.cli.check import read_check, require_agreement
from tritone.cli.results_page import (
    TRAINING,
    Row,
    has_picture,
    is_hardware,
    is_training,
    render,
    trained_rows,
)
from tritone.graph import Convolution, Network
from tritone.spec.storage import read_json, write_atomically, write_json

__all__ = [
    "add_convolution",
    "add_netlist",
    "add_run",
    "exported_top1",
    "put_row",
    "put_training",
    "read_rows",
    "render_folder",
    "training_row",
    "write_pages",
    "write_table",
]

_TRAINING_KEY = ("setting", "seed")
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
_NETLIST_KEY = ("network", "machine", "fingerprint", "netlist")
_NETLIST = (
    *_NETLIST_KEY,
    "images",
    "tensors",
    "values",
    "mismatches",
    "cycles_per_image",
    "rtl_cycles_per_image",
    "predicted_cycles_per_image",
    "simulation_seconds",
    "command",
)
_NETLIST_TABLE = "netlist"
# A convolution of its own has no classes, and is measured alone too.
_CONVOLUTION = (
    *(name for name in _ACCELERATOR if name not in ("top1", "command")),
    "single_shot_cycles",
    "single_shot_utilisation",
    "command",
)


def read_rows(table: Path) -> list[Row]:
    """Return the rows of a table; none where it is not there."""
    rows: list[Row] = json.loads(table.read_text(encoding="utf-8")) if table.is_file() else []
    return rows


def put_training(table: Path, row: Row) -> None:
    """Put the row of a trained run into a table, instead of one of the same setting and seed."""
    put_row(table, row, _TRAINING_KEY)


def put_row(table: Path, row: Row, key: Sequence[str]) -> None:
    """Put ``row`` in place of the one whose values of ``key`` are the same, or at the end."""
    rows = read_rows(table)
    same = [[each.get(name) for name in key] for each in rows]
    mine = [row.get(name) for name in key]
    if mine in same:
        rows[same.index(mine)] = row
    else:
        rows.append(row)
    write_table(table, rows)
    if is_training(rows):
        # Their pages tell the accuracy of these networks.
        for other in sorted(table.parent.glob("*.json")):
            if other != table and is_hardware(held := read_rows(other)):
                _write_page(other, held)


def write_table(table: Path, rows: Sequence[Row]) -> None:
    """Write a table of exactly these rows, and its page."""
    write_json(table, rows)
    _write_page(table, rows)


def write_pages(results: Path) -> list[Path]:
    """Write the pages of all tables in a folder, and return the tables."""
    tables = sorted(results.glob("*.json"))
    for table in tables:
        _write_page(table, read_rows(table))
    return tables


def _write_page(table: Path, rows: Sequence[Row]) -> None:
    """Write the page of a table, and its picture where there is one."""
    write_atomically(table.with_suffix(".md"), render(table, rows).encode())
    if has_picture(rows):
        from tritone.cli.results_picture import draw_top1

        draw_top1(rows, table.with_suffix(".svg"))
    elif is_hardware(rows):
        from tritone.cli.hardware_picture import draw_hardware

        draw_hardware(rows, trained_rows(table), table.with_suffix(".svg"))


def add_convolution(row: Row, results: Path, command: str) -> Path:
    """Add a row of `tritone bench conv` to the table of accelerators in ``results``.

    Raises
    ------
    ValueError : there are mismatches in it.
    """
    if row["mismatches"]:
        raise ValueError(f"Convolution must have no mismatches, not {row['mismatches']}")
    path = results / f"{_ACCELERATOR_TABLE}.json"
    row = {**row, "command": command}
    key = [name for name in _ACCELERATOR_KEY if name != "fingerprint"]  # of an older machine too
    put_row(path, {name: row[name] for name in _CONVOLUTION}, key)
    return path


def add_netlist(report: Path, results: Path, command: str) -> list[Path]:
    """Add a simulation of a netlist to ``results/netlist.json``; return that table in a list.

    Parameters
    ----------
    report : ``sim-<family>.json`` of a run; ``sim.json`` beside it is that of the machine's own
        Verilog with as many images.
    results : folder of the tables.
    command : what made both.

    Raises
    ------
    FileNotFoundError : no sim.json beside the report.
    ValueError : there are mismatches in it, or cycles or images differ.
    """
    found: Row = json.loads(report.read_text(encoding="utf-8"))
    if found["mismatches"]:
        raise ValueError(f"Netlist must have no mismatches, not {found['mismatches']}")
    path = report.with_name("sim.json")
    if not path.is_file():
        raise FileNotFoundError(f"{path} must be there; make it with: tritone sim")
    own: Row = json.loads(path.read_text(encoding="utf-8"))
    for name in ("fingerprint", "images", "cycles"):
        if found[name] != own[name]:
            raise ValueError(
                f"Netlist must have the {name} of {path} ({own[name]}), not {found[name]}"
            )
    row = {**found, "rtl_cycles_per_image": own["cycles_per_image"], "command": command}
    table = results / f"{_NETLIST_TABLE}.json"
    put_row(table, {name: row[name] for name in _NETLIST}, _NETLIST_KEY)
    return [table]


def exported_top1(training: Row, network: Network) -> str:
    """Return the key of a train.json that tells the top-1 of the network that was exported.

    A run with adaptive steps has two networks, of which one has static steps in their place.
    """
    adapts = any(isinstance(each, Convolution) and each.gain is not None for each in network.nodes)
    return "top1_static" if "top1_static" in training and not adapts else "top1_frozen"


def training_row(run: Path, command: str, device: str | None, recipe: str | None) -> Row:
    """Return the row of a trained run.

    Parameters
    ----------
    run : its folder. If it was exported and checked, the row says on how many test images the
        frozen and the golden model have equal logits, ``golden_equal``.
    command : what makes the run.
    device : what it was trained on; None: what train.json says.
    recipe : file of the recipe, None where it is not kept.

    Raises
    ------
    ValueError : train.json is damaged, it was measured on validation images, or frozen and golden
        model differ.
    FileNotFoundError : no train.json in ``run``.
    """
    from tritone.qat.history import read_report
    from tritone.qat.identity import describe_setting, setting_digest
    from tritone.qat.recipe import load_recipe

    path = run / "train.json"
    if not path.is_file():
        raise FileNotFoundError(f"{path} must be there; make it with: tritone train")
    training: Row = read_report(path)
    if training.get("images", "test") != "test":
        raise ValueError(f"Run {run} must be measured on test images, not {training['images']}")
    own = load_recipe(run / "recipe.toml")
    row = {
        "device": "cpu",
        **training,
        **describe_setting(own),
        "setting": setting_digest(own),
        "recipe": recipe,
        "command": command,
    }
    if device is not None:
        row["device"] = device
    check = read_check(run)
    if check is not None:
        require_agreement(run, check)
        # An export on another processor may round a multiplier the other way.
        top1 = {exported_top1(training, Network.load(run / "graph")): check["top1"]}
        row |= {"golden_equal": check["golden_equal"], **top1}
    return {name: row.get(name) for name in TRAINING}


def add_run(
    run: Path, results: Path, command: str, device: str | None = None, recipe: str | None = None
) -> list[Path]:
    """Add what the run folder ``run`` measured to the tables in ``results``.

    ``train.json`` goes to ``<dataset>.json``, ``sim.json`` to ``accelerator.json``, where a network
    with random weights (``tritone draw``) may have a row too, without a top-1; a row of the same
    setting and seed, or of the same network and machine, is replaced. Returns the tables.
    Parameters and errors are those of ``training_row``; mismatches in sim.json are refused, too.
    """
    simulation: Row = {}
    if (run / "sim.json").is_file():
        simulation = read_json(run / "sim.json", "Report", dict)
        if simulation["mismatches"]:
            raise ValueError(f"Run {run} must have no mismatches, not {simulation['mismatches']}")
    tables = []
    row: Row
    if simulation and (run / "untrained.json").is_file() and not (run / "train.json").is_file():
        # Its weights are random; how many images it gets right says nothing.
        row = json.loads((run / "untrained.json").read_text(encoding="utf-8"))
        row |= {"command": command, "top1": None}
    else:
        row = training_row(run, command, device, recipe)
        dataset = read_json(run / "train.json", "Report", dict)["dataset"]
        tables.append(results / f"{dataset}.json")
        put_training(tables[0], row)
    if simulation:
        names = ("codebook", "weight_bits", "act_bits", "command", "top1")
        values = {**simulation, **{name: row[name] for name in names if name in row}}
        tables.append(results / f"{_ACCELERATOR_TABLE}.json")
        put_row(tables[-1], {name: values.get(name) for name in _ACCELERATOR}, _ACCELERATOR_KEY)
    return tables


def render_folder(results: Path) -> dict[Path, str]:
    """Return what the pages of a folder of results must hold."""
    return {
        table.with_suffix(".md"): render(table, read_rows(table))
        for table in sorted(results.glob("*.json"))
    }
