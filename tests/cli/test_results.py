# SPDX-License-Identifier: Apache-2.0
"""Rows of results are added and replaced, with their page and picture."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from rich.console import Console

from tritone.cli.check import check_run
from tritone.cli.results import (
    add_convolution,
    add_netlist,
    add_run,
    put_training,
    read_rows,
    render_folder,
    training_row,
    write_pages,
)
from tritone.golden import layers
from tritone.graph import Convolution, Network
from tritone.qat.estimators import EstimatorKind
from tritone.qat.method import WeightMethod
from tritone.qat.recipe import Recipe, load_recipe, render_recipe

TRAINING = {
    "dataset": "digits",
    "model": "small",
    "method": "post",
    "estimator": "ste",
    "codebook": "post4",
    "weight_bits": 4,
    "act_bits": 4,
    "epochs": 3,
    "seed": 0,
    "images": "test",
    "top1_fp32": 99.4444,
    "top1_quant": 99.0,
    "top1_frozen": 98.5,
    "seconds": 12.5,
    "device": "a GPU",
}
SIMULATION = {
    "network": "small",
    "machine": "tiny",
    "fingerprint": "00ff",
    "images": 100,
    "tensors": 6,
    "values": 221800,
    "mismatches": 0,
    "cycles_per_image": 1234.5,
    "predicted_cycles_per_image": 1234.5,
    "mac_cycles_per_image": 1000.0,
    "utilisation": 0.125,
    "top1": 99.0,
    "seconds": 10.4,
    "divergence": None,
}
RECIPE = load_recipe("digits_quick")
EWGS = replace(RECIPE, weights=WeightMethod(estimator=EstimatorKind.EWGS))


def write_run(
    folder: Path,
    training: dict[str, Any] | None = None,
    simulation: dict[str, Any] | None = None,
    recipe: Recipe = RECIPE,
) -> Path:
    """Write a run folder of these reports."""
    folder.mkdir(exist_ok=True)
    training = TRAINING | (training or {})
    own = replace(recipe, seed=training["seed"])
    (folder / "recipe.toml").write_text(render_recipe(own))
    (folder / "train.json").write_text(json.dumps(training))
    if simulation:
        (folder / "sim.json").write_text(json.dumps(simulation))
    return folder


def export(run: Path, network: Network, difference: int = 0) -> None:
    """Write a graph with two images and logits that are zeros but for a ``difference``."""
    network.save(run / "graph")
    shape = network.tensors[network.input].shape
    logits = np.zeros((2, len(network.nodes[-1].codes)), np.int64)  # type: ignore[union-attr]  # a convolution
    logits[1, 0] += difference
    tensors = {
        "images": np.zeros((2, *shape), np.uint8),
        "labels": np.array([0, 1]),
        "logits": logits,
    }
    safetensors.numpy.save_file(tensors, run / "graph" / "test.safetensors")
    check_run(run, Console(quiet=True))


def test_rows(tmp_path: Path) -> None:
    """A run gives a row of its data set and one of the machine; the same again replaces them."""
    run = write_run(tmp_path / "run", simulation=SIMULATION)
    results = tmp_path / "results"
    tables = add_run(run, results, "make demo", "cpu")
    assert tables == [results / "digits.json", results / "accelerator.json"]
    (row,) = read_rows(tables[0])
    assert (row["top1_frozen"], row["device"], row["command"]) == (98.5, "cpu", "make demo")
    assert (row["activations"], row["golden_equal"], row["recipe"]) == ("lsq", None, None)
    assert "seconds" not in row
    (row,) = read_rows(tables[1])
    assert (row["network"], row["codebook"], row["values"]) == ("small", "post4", 221800)

    write_run(run, {"top1_frozen": 97.0})
    add_run(run, results, "again", "cpu")
    write_run(run, {"seed": 1})
    add_run(run, results, "again")
    write_run(run, recipe=EWGS)
    add_run(run, results, "again", recipe="e.toml")
    found = [(row["seed"], row["top1_frozen"], row["device"]) for row in read_rows(tables[0])]
    assert found == [(0, 97.0, "cpu"), (1, 98.5, "a GPU"), (0, 98.5, "a GPU")]
    assert read_rows(tables[0])[2]["recipe"] == "e.toml"
    assert len(read_rows(tables[1])) == 1


def test_a_network_with_random_weights(tmp_path: Path) -> None:
    """It has a row of the machine, without a top-1, and none of its data set."""
    run, results = tmp_path / "run", tmp_path / "results"
    run.mkdir()
    drawn = {"model": "vgg", "codebook": "binary", "weight_bits": 1, "act_bits": 2}
    (run / "untrained.json").write_text(json.dumps(drawn))
    with pytest.raises(FileNotFoundError, match=r"train.json must be there; make it with: tritone"):
        add_run(run, results, "tritone draw")
    (run / "sim.json").write_text(json.dumps(SIMULATION))
    (table,) = add_run(run, results, "tritone draw")
    (row,) = read_rows(table)
    assert table == results / "accelerator.json"
    assert (row["codebook"], row["weight_bits"], row["act_bits"]) == ("binary", 1, 2)
    assert (row["network"], row["top1"], row["command"]) == ("small", None, "tritone draw")
    (run / "sim.json").write_text(json.dumps(SIMULATION | {"mismatches": 1}))
    with pytest.raises(ValueError, match=r"must have no mismatches, not 1$"):
        add_run(run, results, "tritone draw")


def test_pages_follow_the_rows(tmp_path: Path) -> None:
    """The page is written with every row; a picture as soon as there are two settings."""
    results = tmp_path / "results"
    run = write_run(tmp_path / "run")
    add_run(run, results, "one")
    assert not (results / "digits.svg").exists()
    page = (results / "digits.md").read_text()
    assert "one" in page
    write_run(run, recipe=EWGS)
    add_run(run, results, "two")
    assert (results / "digits.svg").is_file()
    assert (results / "digits.md").read_text() != page
    for path, text in render_folder(results).items():
        assert path.read_text() == text
        path.unlink()
    (results / "digits.svg").unlink()
    assert write_pages(results) == [results / "digits.json"]
    assert (results / "digits.md").is_file()
    assert (results / "digits.svg").is_file()


def test_a_convolution_is_a_row_of_its_own(tmp_path: Path) -> None:
    """Beside networks, with its single shot and no accuracy; with mismatches it is refused."""
    run = write_run(tmp_path / "run", simulation=SIMULATION)
    add_run(run, tmp_path, "make demo", "cpu")
    shot = {"single_shot_cycles": 6922, "single_shot_utilisation": 0.33, "unknown": 1}
    names = {"codebook": "post4", "weight_bits": 4, "act_bits": 4}
    measured = SIMULATION | names | {"network": "conv"} | shot
    with pytest.raises(ValueError, match=r"^Convolution must have no mismatches, not 2$"):
        add_convolution(measured | {"mismatches": 2}, tmp_path, "x")
    for _ in range(2):
        path = add_convolution(measured, tmp_path, "tritone bench conv")
    network, convolution = read_rows(path)
    assert (network["network"], network["top1"]) == ("small", 99.0)
    assert (convolution["network"], convolution["single_shot_cycles"]) == ("conv", 6922)
    assert "top1" not in convolution
    assert "unknown" not in convolution
    assert path.with_suffix(".md").read_text() == render_folder(tmp_path)[path.with_suffix(".md")]


def netlist_reports(folder: Path, **changes: Any) -> Path:
    """Write sim.json and the report of its netlist, which differs from it by ``changes``."""
    own = {**SIMULATION, "cycles": 123450, "simulation_seconds": 0.4, "build_seconds": 30.0}
    (folder / "sim.json").write_text(json.dumps(own))
    report = folder / "sim-ecp5.json"
    report.write_text(json.dumps({**own, "netlist": "ecp5", "simulation_seconds": 9.5} | changes))
    return report


def test_a_netlist_is_a_row_beside_its_verilog(tmp_path: Path) -> None:
    """A row has both cycles; one of the same network, machine and family is replaced."""
    for command in ("first", "second"):
        (table,) = add_netlist(netlist_reports(tmp_path), tmp_path / "results", command)
    assert table == tmp_path / "results" / "netlist.json"
    (row,) = read_rows(table)
    assert row == {
        "network": "small",
        "machine": "tiny",
        "fingerprint": "00ff",
        "netlist": "ecp5",
        "images": 100,
        "tensors": 6,
        "values": 221800,
        "mismatches": 0,
        "cycles_per_image": 1234.5,
        "rtl_cycles_per_image": 1234.5,
        "predicted_cycles_per_image": 1234.5,
        "simulation_seconds": 9.5,
        "command": "second",
    }
    page = table.with_suffix(".md").read_text()
    assert "The netlist that place and route gets" in page
    assert "| small | tiny | 00ff | ecp5 | 100 | 6 | 221,800 | 0 | 1,234.5 |" in page


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mismatches": 2}, "Netlist must have no mismatches, not 2"),
        ({"cycles": 5}, r"Netlist must have the cycles of .*sim\.json \(123450\), not 5"),
        ({"images": 99}, r"Netlist must have the images of .*sim\.json \(100\), not 99"),
    ],
)
def test_a_netlist_that_is_refused(tmp_path: Path, changes: dict[str, int], message: str) -> None:
    """One that differs from the golden machine or from the machine's own Verilog."""
    with pytest.raises(ValueError, match=f"^{message}$"):
        add_netlist(netlist_reports(tmp_path, **changes), tmp_path / "results", "anything")
    (tmp_path / "sim.json").unlink()
    if "mismatches" not in changes:
        with pytest.raises(FileNotFoundError, match=r"sim\.json must be there"):
            add_netlist(tmp_path / "sim-ecp5.json", tmp_path / "results", "anything")


def test_a_table_of_any_name(tmp_path: Path) -> None:
    """A row can be put into a table beside others'."""
    row = training_row(write_run(tmp_path / "run"), "x", None, None)
    put_training(tmp_path / "mine.json", row)
    put_training(tmp_path / "mine.json", row)
    assert read_rows(tmp_path / "mine.json") == [row]
    assert (tmp_path / "mine.md").read_text().startswith("# Results: mine\n")


def test_a_checked_run(tmp_path: Path, random_network: Any, spec: Any) -> None:
    """The row says on how many images frozen and golden are equal; top-1 is the exported graph's.

    A check of another graph than the one that is there does not count.
    """
    run = write_run(tmp_path / "run")
    network = random_network((1, 2, 2), [spec(out=2, kernel=(2, 2), wide=True)])
    (node,) = network.nodes
    assert isinstance(node, Convolution)
    node.multiplier[...] = 0
    node.offset[...] = 0
    export(run, network)
    row = training_row(run, "x", None, None)
    assert (row["golden_equal"], row["top1_frozen"]) == (2, 50.0)

    shutil.copy(run / "recipe.toml", run / "graph" / "test.safetensors")
    row = training_row(run, "x", None, None)
    assert (row["golden_equal"], row["top1_frozen"]) == (None, 98.5)

    export(run, network, difference=1)
    message = r"^Run .*run must have no mismatches of frozen and golden model, not 1$"
    with pytest.raises(ValueError, match=message):
        training_row(run, "x", None, None)


@pytest.mark.parametrize(
    ("adaptive", "expected"), [(True, (50.0, 97.0)), (False, (98.5, 50.0))], ids=["asq", "static"]
)
def test_the_two_networks_of_adaptive_steps(
    tmp_path: Path,
    adaptive: bool,
    expected: tuple[float, float],
    random_adaptive: Any,
    random_network: Any,
    spec: Any,
) -> None:
    """A check counts for the one that was exported: with its adapters, or with static steps."""
    run = write_run(tmp_path / "run", {"top1_static": 97.0})
    row = training_row(run, "x", None, None)
    assert (row["top1_frozen"], row["top1_static"]) == (98.5, 97.0)
    network = random_adaptive(1)
    if not adaptive:
        network = random_network((1, 2, 2), [spec(out=2, kernel=(2, 2), wide=True)])
    network.save(run / "graph")
    images = np.zeros((2, *network.tensors[network.input].shape), np.uint8)
    logits = layers.run(network, images)[network.output].reshape(2, -1)
    labels = np.array([0, 1]) + logits.argmax(axis=1)  # the second one is wrong
    tensors = {"images": images, "labels": labels, "logits": logits}
    safetensors.numpy.save_file(tensors, run / "graph" / "test.safetensors")
    check_run(run, Console(quiet=True))
    row = training_row(run, "x", None, None)
    assert (row["top1_frozen"], row["top1_static"]) == expected


def test_what_is_refused(tmp_path: Path) -> None:
    """No training, validation figures and wrong values do not get into the tables."""
    empty = tmp_path / "empty"
    with pytest.raises(FileNotFoundError, match=r"train\.json must be there; make it with: "):
        add_run(empty, tmp_path, "x", "cpu")
    run = write_run(tmp_path / "run", {"images": "validation"})
    message = r"^Run .*run must be measured on test images, not validation$"
    with pytest.raises(ValueError, match=message):
        add_run(run, tmp_path, "x", "cpu")
    write_run(run, simulation=SIMULATION | {"mismatches": 3})
    with pytest.raises(ValueError, match=r"^Run .*run must have no mismatches, not 3$"):
        add_run(run, tmp_path, "x", "cpu")
    assert not list(tmp_path.glob("*.json"))
