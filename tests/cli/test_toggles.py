# SPDX-License-Identifier: Apache-2.0
"""Toggles by block: from a run's program, and as rows of a table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from rich.console import Console

from tritone.cli.app import main
from tritone.cli.results import read_rows
from tritone.cli.toggles import add_toggles, measure, toggles_table
from tritone.compiler import compile_network
from tritone.graph import Network
from tritone.spec.machine import preset
from tritone_hw.synthesis.blocks import BLOCKS

BUILD = Path(__file__).resolve().parents[2] / "build"
# What has something to do for every image.
WORKING = (
    "array",
    "reader",
    "memories",
    "requantiser",
    "pool",
    "shortcut",
    "write-back",
    "steps",
    "engine",
    "sequencer",
    "ports",
)
ROW = {
    "network": "small",
    "codebook": "post4",
    "machine": "tiny",
    "fingerprint": "00ff",
    "images": 8,
    "cycles_per_image": 1234.5,
    **dict.fromkeys(BLOCKS, 0),
    **dict.fromkeys(WORKING, 1000),
    "toggles": 11_000,
    "toggles_per_mac": 1.1,
}


@pytest.fixture
def run(tmp_path: Path, every_operator: Network) -> Path:
    """A run folder as export and compile leave it, with two random images."""
    folder = tmp_path / "run"
    every_operator.save(folder / "graph")
    compile_network(every_operator, preset("tiny")).save(folder / "program.bin")
    shape = every_operator.tensors[every_operator.input].shape
    images = np.random.default_rng(6).integers(0, 256, (2, *shape)).astype(np.uint8)
    tensors = {"images": images, "labels": np.zeros(2, np.int64), "logits": np.zeros(2, np.int64)}
    safetensors.numpy.save_file(tensors, folder / "graph" / "test.safetensors")
    return folder


def test_a_run(run: Path, every_operator: Network) -> None:
    """Every block that works for an image moves something, and the sum is that of the blocks.

    Bits of registers change at most once a cycle: those of the array, of which it has 2,241 on ECP5
    (`tritone synth`), are an upper bound.
    """
    stages: list[str] = []
    row = measure(run, 2, BUILD, stages.append)
    assert row == json.loads((run / "toggles.json").read_text())
    assert stages == ["building the simulator", "simulating"]
    assert (row["network"], row["machine"], row["images"]) == (every_operator.name, "tiny", 1)
    assert {name for name in BLOCKS if row[name] > 0} == set(WORKING)
    # Each is rounded for itself.
    assert abs(row["toggles"] - sum(row[name] for name in BLOCKS)) <= len(BLOCKS) / 2 + 1
    assert row["array"] < 2241 * row["cycles_per_image"]
    macs = sum(every_operator.macs(node) for node in every_operator.nodes)
    assert row["toggles_per_mac"] == round(row["toggles"] / macs, 3)


def test_rows_of_a_table(tmp_path: Path) -> None:
    """A row of the same network and machine is replaced; the page says what it is about."""
    for command in ("first", "second"):
        table = add_toggles(ROW, tmp_path, command)
    assert read_rows(table) == [{**ROW, "command": "second"}]
    assert "A proxy for power" in table.with_suffix(".md").read_text()


def test_the_table_of_a_row() -> None:
    """Each block has its share."""
    console = Console(width=100, file=None, record=True)
    with console.capture() as captured:
        console.print(toggles_table(ROW))
    lines = captured.get().splitlines()
    assert any("write-back" in line and "1,000" in line and "9.1 %" in line for line in lines)
    assert any("all" in line and "11,000" in line and "100.0 %" in line for line in lines)


def test_half_of_what_a_row_needs(run: Path, capsys: Any) -> None:
    """A table gets no row without its command."""
    assert main(["bench", "toggles", str(run), "--results", "docs"]) == 2
    assert capsys.readouterr().err == (
        "error: Bench must have both --results and --command, or neither\n"
    )
