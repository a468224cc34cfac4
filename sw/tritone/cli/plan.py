# SPDX-License-Identifier: Apache-2.0
"""What a sweep has to do: the recipes of a folder, their run folders, and how far these are."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any

from tritone.cli.check import read_check
from tritone.cli.errors import explain
from tritone.cli.occupancy import is_occupied
from tritone.qat.data import DATA_FOLDER
from tritone.qat.history import read_history, read_report
from tritone.qat.recipe import Recipe, load_recipe
from tritone.qat.sources.catalog import SOURCES

__all__ = ["State", "Status", "Task", "parse_seeds", "plan", "read_status"]


class State(Enum):
    """How far a run is."""

    REFUSED = "refused"  # the recipe, or the run folder is another recipe's
    NOT_RUN = "not run"
    RUNNING = "running"
    STARTED = "interrupted"
    TRAINED = "trained"
    CHECKED = "checked"  # exported, and compared with the golden model


@dataclass(frozen=True, kw_only=True)
class Task:
    """One run of a sweep.

    Parameters
    ----------
    path : of the recipe.
    run : folder of the run.
    seed : in the place of the recipe's own, None to keep that.
    recipe : with that seed; None where the file holds none.
    reason : why there is no recipe.
    """

    path: Path
    run: Path
    seed: int | None
    recipe: Recipe | None = None
    reason: str | None = None

    @property
    def epochs(self) -> int:
        """All epochs of the run; 0 without a recipe."""
        if self.recipe is None:
            return 0
        return self.recipe.epochs

    def command(self, data: Path = DATA_FOLDER, export: bool = False) -> str:
        """Return what makes the run in a shell."""
        place = [] if data == DATA_FOLDER else ["--data", str(data)]
        run = str(self.run)
        commands = []
        if self.recipe is not None and self.recipe.dataset in SOURCES:
            commands.append(["data", self.recipe.dataset, *place])
        seed = [] if self.seed is None else ["--seed", str(self.seed)]
        commands.append(["train", str(self.path), "--run", run, *seed, *place])
        if export:
            commands += [["export", run, *place], ["check", run]]
        return " && ".join(shlex.join(["tritone", *words]) for words in commands)


@dataclass(frozen=True, kw_only=True)
class Status:
    """A run as its folder shows it.

    Parameters
    ----------
    state : how far it is.
    epochs : that are done.
    training, check : what is in train.json and check.json; empty where they are not there.
    reason : why it is refused.
    """

    state: State
    epochs: int
    training: dict[str, Any]
    check: dict[str, Any]
    reason: str | None = None


def parse_seeds(text: str | None) -> list[int]:
    """Return the seeds in a text such as ``0,1,2``; none for None."""
    if text is None:
        return []
    words = [word.strip() for word in text.split(",")]
    if not all(word.isdecimal() for word in words) or len(set(words)) < len(words):
        raise ValueError(f"Seeds must be different numbers such as 0,1,2, not {text!r}")
    return [int(word) for word in words]


def plan(folder: Path, runs: Path, seeds: Sequence[int] = ()) -> list[Task]:
    """Return a task for each recipe in ``folder``, in the order of their names, and each seed.

    Parameters
    ----------
    folder : of *.toml files.
    runs : folder of the run folders <stem>; with ``seeds`` these are <stem>_seed<k>.
    seeds : that every recipe is run with, none for its own.

    Raises
    ------
    FileNotFoundError : no folder, or no recipes in it. A file that is no recipe makes a task with
        the reason.
    """
    paths = sorted(folder.glob("*.toml"))
    if not paths:
        raise FileNotFoundError(f"Folder of a sweep must hold recipes (*.toml), not {folder}")
    tasks = []
    for path in paths:
        recipe = reason = None
        try:
            recipe = load_recipe(path)
        except (OSError, TypeError, ValueError) as error:
            reason = explain(error)
        for seed in seeds or (None,):
            name = path.stem if seed is None else f"{path.stem}_seed{seed}"
            own = recipe
            if recipe is not None and seed is not None:
                own = replace(recipe, seed=seed)
            tasks.append(Task(path=path, run=runs / name, seed=seed, recipe=own, reason=reason))
    return tasks


def read_status(task: Task) -> Status:
    """Return how far the run of a task is."""
    nothing: dict[str, Any] = {}
    own = task.run / "recipe.toml"
    reason = task.reason
    if reason is None and own.is_file():
        try:
            if load_recipe(own) != task.recipe:
                reason = f"{task.run} is a run of another recipe"
        except (OSError, TypeError, ValueError) as error:
            reason = explain(error)
    if reason is not None:
        state = State.REFUSED
        return Status(state=state, epochs=0, training=nothing, check=nothing, reason=reason)
    epochs = len(read_history(task.run))
    report = task.run / "train.json"
    if not report.is_file():
        state = State.STARTED if own.is_file() else State.NOT_RUN
        if is_occupied(task.run):
            state = State.RUNNING
        return Status(state=state, epochs=epochs, training=nothing, check=nothing)
    check = read_check(task.run)
    state = State.TRAINED if check is None else State.CHECKED
    try:
        training = read_report(report)
    except ValueError as error:
        reason = explain(error)
        return Status(
            state=State.REFUSED, epochs=epochs, training=nothing, check=nothing, reason=reason
        )
    return Status(state=state, epochs=epochs, training=training, check=check or nothing)
