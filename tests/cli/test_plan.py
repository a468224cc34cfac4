# SPDX-License-Identifier: Apache-2.0
"""What a sweep has to do, and how far it is."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from tritone.cli.occupancy import occupied
from tritone.cli.plan import State, parse_seeds, plan, read_status
from tritone.qat.history import EpochRecord, record_epoch
from tritone.qat.recipe import load_recipe, render_recipe

QUICK = load_recipe("digits_quick")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of two recipes, one broken recipe and something else."""
    path = tmp_path / "recipes"
    path.mkdir()
    (path / "b.toml").write_text(render_recipe(QUICK))
    (path / "a.toml").write_text(render_recipe(replace(QUICK, seed=5)))
    (path / "broken.toml").write_text("name = 1\n")
    (path / "notes.txt").write_text("not a recipe")
    return path


def test_a_run_for_each_recipe(folder: Path) -> None:
    """By name; a file that is no recipe has a reason instead."""
    tasks = plan(folder, Path("runs"))
    assert [task.run for task in tasks] == [Path("runs/a"), Path("runs/b"), Path("runs/broken")]
    assert [task.recipe for task in tasks] == [replace(QUICK, seed=5), QUICK, None]
    assert tasks[2].reason == "Recipe must have the key dataset"
    # Two epochs in full precision, two quantised.
    assert [task.epochs for task in tasks] == [4, 4, 0]


def test_seeds(folder: Path) -> None:
    """Each recipe with each seed, in a folder of its own."""
    tasks = plan(folder, Path("runs"), [0, 12])
    assert [task.run.name for task in tasks][:3] == ["a_seed0", "a_seed12", "b_seed0"]
    assert [task.recipe for task in tasks][:3] == [
        replace(QUICK, seed=0),
        replace(QUICK, seed=12),
        replace(QUICK, seed=0),
    ]
    assert parse_seeds("0, 12") == [0, 12]
    assert parse_seeds(None) == []
    for text in ("", "1,,2", "-1", "1,x", "1,1"):
        with pytest.raises(ValueError, match=r"^Seeds must be different numbers such as 0,1,2, "):
            parse_seeds(text)


def test_a_folder_without_recipes(tmp_path: Path) -> None:
    """It is named, whether it is there or not."""
    for place in (tmp_path, tmp_path / "nowhere"):
        message = f"^Folder of a sweep must hold recipes \\(\\*.toml\\), not {place}$"
        with pytest.raises(FileNotFoundError, match=message):
            plan(place, Path("runs"))


def test_commands(folder: Path) -> None:
    """What a user can paste: words that a shell splits into what was meant."""
    cifar = replace(load_recipe("cifar10_resnet20_post4"), seed=1)
    (folder / "with space.toml").write_text(render_recipe(cifar))
    tasks = {task.path.stem: task for task in plan(folder, Path("runs"))}
    assert tasks["a"].command() == f"tritone train {folder}/a.toml --run runs/a"
    command = tasks["with space"].command(Path("my data"), export=True)
    place = ["--data", "my data"]
    run = "runs/with space"
    assert [shlex.split(each) for each in command.split(" && ")] == [
        ["tritone", "data", "cifar10", *place],
        ["tritone", "train", f"{folder}/with space.toml", "--run", run, *place],
        ["tritone", "export", run, *place],
        ["tritone", "check", run],
    ]
    (seeded, *_) = plan(folder, Path("runs"), [3])
    assert seeded.command() == f"tritone train {folder}/a.toml --run runs/a_seed3 --seed 3"


def test_states(folder: Path, tmp_path: Path) -> None:
    """Not run, interrupted with its epochs, running, trained, and refused with the reason."""
    tasks = plan(folder, tmp_path / "runs")
    task = tasks[0]
    assert read_status(task).state is State.NOT_RUN
    task.run.mkdir(parents=True)
    assert task.recipe is not None
    (task.run / "recipe.toml").write_text(render_recipe(task.recipe))
    for epoch in (1, 2):
        record_epoch(task.run, EpochRecord(stage="pretrain", epoch=epoch, loss=1.0, top1=5.0))
    status = read_status(task)
    assert (status.state, status.epochs, status.training) == (State.STARTED, 2, {})
    with occupied(task.run):
        assert read_status(task).state is State.RUNNING
    (task.run / "train.json").write_text(json.dumps({"top1_frozen": 12.5}))
    status = read_status(task)
    assert (status.state, status.training) == (State.TRAINED, {"top1_frozen": 12.5})

    (task.run / "train.json").write_text("{}")
    status = read_status(task)
    assert status.state is State.REFUSED
    assert status.reason is not None
    assert status.reason.startswith(f"Report {task.run}/train.json must have top1_frozen; it was ")

    other = replace(task, recipe=QUICK)
    status = read_status(other)
    assert (status.state, status.reason) == (
        State.REFUSED,
        f"{task.run} is a run of another recipe",
    )
    (task.run / "recipe.toml").write_text("seed = 1")
    status = read_status(task)
    assert (status.state, status.reason) == (State.REFUSED, "Recipe must have the key name")
    status = read_status(tasks[2])
    assert (status.state, status.reason) == (State.REFUSED, "Recipe must have the key dataset")
