# SPDX-License-Identifier: Apache-2.0
"""``tritone sweep``: the recipes of a folder, trained, exported and checked, into one table."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Sequence
from contextlib import chdir
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from tritone.cli.check import check_run, read_check, require_agreement
from tritone.cli.cluster import Cluster
from tritone.cli.errors import REPORTED, explain
from tritone.cli.occupancy import occupied
from tritone.cli.plan import Task
from tritone.cli.results import put_training, training_row
from tritone.qat.device import Device
from tritone.qat.export import export_run
from tritone.qat.history import read_history
from tritone.qat.train import train
from tritone.spec.storage import write_atomically

__all__ = ["Outcome", "Work", "perform", "require_table", "sweep"]

LOG = "sweep.log"
TRACEBACK = "traceback.txt"


@dataclass(frozen=True, kw_only=True)
class Work:
    """What is done with each recipe.

    Parameters
    ----------
    data : folder of the data sets.
    device : where it is trained.
    export : the run is exported, and its logits compared with the golden model's.
    """

    data: Path
    device: Device
    export: bool


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A task that is done, and the reason if it failed.

    Parameters
    ----------
    elsewhere : it is not, for another process runs it.
    """

    task: Task
    reason: str | None = None
    elsewhere: bool = False


def require_table(tasks: Sequence[Task], table: Path) -> None:
    """Raise ValueError unless the runs of ``tasks`` can be rows of one table of results."""
    if table.suffix != ".json":
        raise ValueError(f"Table of results must be a .json file, not {table}")
    names: set[str] = set()
    for task in tasks:
        if task.recipe is None:
            continue
        names.add(task.recipe.dataset)
        if task.recipe.data.validation:
            raise ValueError(
                f"Recipe {task.path} must be measured on test images to be a row of {table}, not "
                f"on {task.recipe.data.validation} validation images"
            )
    if len(names) > 1:
        raise ValueError(
            f"Recipes must be of one data set to share {table}, not {', '.join(sorted(names))}"
        )


def perform(task: Task, work: Work, console: Console) -> Outcome:
    """Run one task from where it is, into its run folder.

    A failure is an outcome; what is no user's error leaves its traceback in the run folder. A run
    that another process has in hand is left to it.
    """
    if task.recipe is None:
        return Outcome(task=task, reason=task.reason)
    with occupied(task.run) as mine:
        if not mine:
            return Outcome(task=task, elsewhere=True)
        try:
            train(task.recipe, task.run, work.data, console, work.device)
            if work.export:
                _check(task, work, console)
        except REPORTED as error:
            return Outcome(task=task, reason=explain(error))
        except Exception as error:
            place = task.run / TRACEBACK
            write_atomically(place, traceback.format_exc().encode())
            return Outcome(task=task, reason=f"{type(error).__name__}: {explain(error)} ({place})")
        return Outcome(task=task)


def _check(task: Task, work: Work, console: Console) -> None:
    """Export a trained run and compare it with golden, unless that is done."""
    check = read_check(task.run)
    if check is None:
        export_run(task.run, work.data)
        check = check_run(task.run, console)
    require_agreement(task.run, check)


def sweep(
    tasks: Sequence[Task], work: Work, table: Path | None, cluster: Cluster | None
) -> Iterator[Outcome]:
    """Yield the outcome of each task as it is done; its row is in ``table`` then.

    Parameters
    ----------
    tasks : run one after another, or all at once on ``cluster``.
    work : what is done with each.
    table : of results; None for no table.
    """
    # What cannot run is told at once, not at its turn, which may be days later.
    for task in tasks:
        if task.recipe is None:
            yield Outcome(task=task, reason=task.reason)
    left = [task for task in tasks if task.recipe is not None]
    runs = _one_by_one(left, work) if cluster is None else _on_cluster(left, work, cluster)
    for outcome in runs:
        finished = not outcome.reason and not outcome.elsewhere
        yield _put(outcome, work, table) if finished and table else outcome


def _put(outcome: Outcome, work: Work, table: Path) -> Outcome:
    """Put the row of a finished run into the table."""
    task = outcome.task
    command = task.command(work.data, work.export)
    try:
        row = training_row(task.run, command, None, task.path.as_posix())
        with occupied(table.parent, wait=True):
            put_training(table, row)
    except (OSError, ValueError) as error:
        return replace(outcome, reason=explain(error))
    return outcome


def _one_by_one(tasks: Sequence[Task], work: Work) -> Iterator[Outcome]:
    console = Console(stderr=True, highlight=False)
    for number, task in enumerate(tasks, 1):
        console.print(f"{number}/{len(tasks)} {task.run.name}", soft_wrap=True)
        outcome = perform(task, work, console)
        if outcome.elsewhere:
            console.print("another process runs it")
        yield outcome


def _perform_elsewhere(task: Task, work: Work, folder: Path) -> Outcome:
    """Run a task in a process of its own, in ``folder``; what it shows goes into its run folder."""
    with chdir(folder):
        task.run.mkdir(parents=True, exist_ok=True)
        with (task.run / LOG).open("a", encoding="utf-8") as log:
            return perform(task, work, Console(file=log, highlight=False))


def _epochs_done(tasks: Sequence[Task]) -> int:
    return sum(min(len(read_history(task.run)), task.epochs) for task in tasks)


def _on_cluster(tasks: Sequence[Task], work: Work, cluster: Cluster) -> Iterator[Outcome]:
    """Yield the outcomes of tasks on a cluster; the epochs of all of them are one bar."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total:.0f} epochs"),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True, highlight=False)
    with Progress(*columns, console=console) as progress:
        total = sum(task.epochs for task in tasks)
        bar = progress.add_task(f"0/{len(tasks)} runs", total=total)

        def watch() -> None:
            progress.update(bar, completed=_epochs_done(tasks))

        calls = [(task, work, Path.cwd()) for task in tasks]
        results = cluster.run(_perform_elsewhere, calls, watch)
        for done, (index, result) in enumerate(results, 1):
            task = tasks[index]
            if isinstance(result, Exception):
                outcome = Outcome(task=task, reason=explain(result))
            else:
                outcome = result
            if not outcome.reason and not outcome.elsewhere:
                progress.console.print(f"done: {task.run.name}", soft_wrap=True)
            progress.update(bar, description=f"{done}/{len(tasks)} runs")
            watch()
            yield outcome
