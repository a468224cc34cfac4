# SPDX-License-Identifier: Apache-2.0
"""Tables of results: rows are added, replaced and rendered."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tritone.cli.results import add_run, render, render_folder

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


def write_run(folder: Path, training: dict[str, Any], simulation: dict[str, Any] | None) -> Path:
    """Write a run folder of these reports."""
    folder.mkdir(exist_ok=True)
    (folder / "train.json").write_text(json.dumps(training))
    if simulation:
        (folder / "sim.json").write_text(json.dumps(simulation))
    return folder


def test_rows(tmp_path: Path) -> None:
    """A run gives a row of its data set and one of the machine; the same again replaces them."""
    run = write_run(tmp_path / "run", TRAINING, SIMULATION)
    results = tmp_path / "results"
    tables = add_run(run, results, "make demo", "cpu")
    assert tables == [results / "digits.json", results / "accelerator.json"]
    (row,) = json.loads(tables[0].read_text())
    assert (row["top1_frozen"], row["device"], row["command"]) == (98.5, "cpu", "make demo")
    assert "seconds" not in row
    (row,) = json.loads(tables[1].read_text())
    assert (row["network"], row["codebook"], row["values"]) == ("small", "post4", 221800)

    write_run(run, TRAINING | {"top1_frozen": 97.0}, None)
    add_run(run, results, "again", "cpu")
    write_run(run, TRAINING | {"seed": 1}, None)
    add_run(run, results, "again", "cpu")
    rows = json.loads(tables[0].read_text())
    assert [(row["seed"], row["top1_frozen"]) for row in rows] == [(0, 97.0), (1, 98.5)]
    assert len(json.loads(tables[1].read_text())) == 1
    for path, text in render_folder(results).items():
        assert path.read_text() == text


def test_markdown() -> None:
    """Figures have two digits behind the point, shares are in percent, nothing is a dash."""
    rows = [{"model": "small", "top1": 98.456, "utilisation": 0.125, "seed": None, "command": "x"}]
    text = render("things", rows)
    assert text.splitlines()[-3:] == [
        "| model | top1 | utilisation | seed | command |",
        "|---|---|---|---|---|",
        "| small | 98.46 | 12.50 % | - | `x` |",
    ]
    assert text.startswith("# Results: things\n")


def test_what_is_refused(tmp_path: Path) -> None:
    """No training, validation figures and wrong values do not get into the tables."""
    empty = tmp_path / "empty"
    with pytest.raises(FileNotFoundError, match=r"train\.json must be there; make it with: "):
        add_run(empty, tmp_path, "x", "cpu")
    run = write_run(tmp_path / "run", TRAINING | {"images": "validation"}, None)
    message = r"^Run .*run must be measured on test images, not validation$"
    with pytest.raises(ValueError, match=message):
        add_run(run, tmp_path, "x", "cpu")
    write_run(run, TRAINING, SIMULATION | {"mismatches": 3})
    with pytest.raises(ValueError, match=r"^Run .*run must have no mismatches, not 3$"):
        add_run(run, tmp_path, "x", "cpu")
    assert not list(tmp_path.glob("*.json"))
