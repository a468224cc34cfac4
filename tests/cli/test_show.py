# SPDX-License-Identifier: Apache-2.0
"""``tritone show`` finds out what it is shown."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tritone.cli.show import show
from tritone.compiler import compile_network
from tritone.graph import Network
from tritone.qat.history import CodeUse, EpochRecord, Observation, record_epoch
from tritone.qat.recipe import load_recipe, render_recipe
from tritone.spec.machine import preset
from tritone.spec.storage import write_json


def shown(path: Path, *, summary: bool = False) -> str:
    """Return what is printed."""
    console = Console(width=80, file=io.StringIO(), record=True)
    show(path, console, summary=summary)
    return console.export_text()


@pytest.fixture
def network(random_network: Callable[..., Network], spec: Any) -> Network:
    """Return a network of one layer."""
    return random_network((1, 4, 4), [spec(out=3, kernel=(4, 4), wide=True)])


def test_a_graph_folder_and_a_program_file(tmp_path: Path, network: Network) -> None:
    """Each gets its table and nothing is written."""
    network.save(tmp_path / "graph")
    compile_network(network, preset("tiny")).save(tmp_path / "any.bin")
    assert shown(tmp_path / "graph").startswith("Network random: ")
    assert shown(tmp_path / "any.bin").startswith("Program for tiny (")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["any.bin", "graph"]


def test_a_run_folder(tmp_path: Path, network: Network) -> None:
    """A run shows what it has so far, draws its pictures, and ends with a summary."""
    training = {"dataset": "digits", "method": "post", "weight_bits": 4, "act_bits": 4}
    training |= {"top1_fp32": 99.0, "top1_quant": 98.0, "top1_frozen": 97.0}
    write_json(tmp_path / "train.json", training)
    text = shown(tmp_path)
    assert "Training " in text
    assert "Network" not in text

    record_epoch(tmp_path, EpochRecord(stage="pretrain", epoch=1, loss=1.0, top1=50.0))
    network.save(tmp_path / "graph")
    compile_network(network, preset("tiny")).save(tmp_path / "program.bin")
    simulation = {"machine": "tiny", "images": 1, "tensors": 1, "values": 3, "mismatches": 0}
    simulation |= {"cycles_per_image": 10.0, "mac_cycles_per_image": 5.0}
    simulation |= {"utilisation": 0.5, "top1": 100.0, "seconds": 1.0}
    write_json(tmp_path / "sim.json", simulation)
    text = shown(tmp_path)
    titles = ["Training ", "Network random", "Program for tiny", "Simulation of tiny", "digits, "]
    places = [text.index(title) for title in titles]
    assert places == sorted(places)
    brief = shown(tmp_path, summary=True)
    assert [title in brief for title in titles] == [False, False, False, False, True]
    for picture in ("training.png", "levels.png", "roofline.png"):
        assert (tmp_path / picture).stat().st_size > 5_000
        assert picture in text.replace("\n", "")


def test_a_run_that_is_not_finished(tmp_path: Path) -> None:
    """From its recipe on: how far it is, what its quantisers do, and its pictures."""
    recipe = load_recipe("digits_quick")
    (tmp_path / "recipe.toml").write_text(render_recipe(recipe))
    text = shown(tmp_path)
    assert re.search(r", not\s+finished", text)
    assert re.search(rf"epochs[ │]+0 of {recipe.epochs}\b", text)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["recipe.toml"]

    weights = {"conv": CodeUse(codebook="post3", times=[5, 4, 0, 1, 0, 0, 0, 2])}
    seen = Observation(clipped={"a": 0.25}, betas={"a": [0.5] * 5}, dead=["a"], weights=weights)
    record_epoch(tmp_path, EpochRecord(stage="pretrain", epoch=1, loss=2.5, top1=50.0))
    record_epoch(
        tmp_path,
        EpochRecord(stage="finetune", epoch=1, loss=1.25, top1=61.5, observation=seen),
    )
    for summary in (False, True):
        text = shown(tmp_path, summary=summary)
        assert re.search(rf"epochs[ │]+2 of {recipe.epochs}\b", text)
        assert re.search(r"last epoch[ │]+1 of finetune\b", text)
        assert re.search(r"loss[ │]+1\.250\b", text)
        assert re.search(r"images[ │]+61\.50 %", text)
        assert "the adapter of a is dead" in text
        for picture in ("training.png", "quantizers.png", "levels.png"):
            assert (tmp_path / picture).stat().st_size > 5_000
            assert picture in text.replace("\n", "")
    (tmp_path / "recipe.toml").unlink()
    assert re.search(r"epochs[ │]+2\b", shown(tmp_path))


def test_nothing_to_show(tmp_path: Path) -> None:
    """A folder without anything of ours, and a damaged report, are refused."""
    with pytest.raises(FileNotFoundError, match=r"^What is shown must be a run folder, a program"):
        shown(tmp_path)
    (tmp_path / "train.json").write_text("{")
    with pytest.raises(ValueError, match=r"^Report .*train.json must be JSON, not damaged: "):
        shown(tmp_path)
