# SPDX-License-Identifier: Apache-2.0
"""``tritone show``: what there is to see in a run folder, a program file or a graph folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console, Group

from tritone.cli.table_forms import pairs
from tritone.cli.tables import (
    layer_table,
    program_table,
    simulation_table,
    summary_table,
    training_table,
)
from tritone.compiler import describe
from tritone.graph import Network
from tritone.qat.history import CodeUse, EpochRecord, read_history, read_report
from tritone.spec.program import Program
from tritone.spec.storage import read_json

__all__ = ["show"]

# One of them is in a run folder from its first moment on, whatever becomes of the training.
_OF_RUNS = ("train.json", "history.json", "recipe.toml")


def show(path: Path, console: Console, *, summary: bool = False) -> None:
    """Print the tables of ``path``; for a run folder draw its pictures into it too.

    Parameters
    ----------
    path : run folder, in training too, program file or graph folder.
    console : where to.
    summary : print the last table of a run only.

    Raises
    ------
    FileNotFoundError : nothing is there, or nothing that can be shown.
    ValueError : a file is damaged.
    """
    if path.is_file():
        console.print(program_table(Program.load(path)))
    elif (path / "network.json").is_file():
        console.print(layer_table(Network.load(path)))
    elif (path / "graph").is_dir() or any((path / name).is_file() for name in _OF_RUNS):
        _show_run(path, console, summary)
    else:
        raise FileNotFoundError(
            f"What is shown must be a run folder, a program file or a graph folder, not {path}"
        )


def _unfinished_table(run: Path, history: Sequence[EpochRecord]) -> Group:
    """Return the table of a training that runs, or that was stopped."""
    path = run / "recipe.toml"
    epochs = str(len(history))
    rows: list[tuple[str, object]] = []
    if path.is_file():
        from tritone.qat.recipe import parse_recipe

        recipe = parse_recipe(path.read_text(encoding="utf-8"))
        epochs += f" of {recipe.epochs}"
        rows += [("recipe", recipe.name), ("dataset", recipe.dataset), ("model", recipe.model)]
    rows.append(("epochs", epochs))
    if history:
        last = history[-1]
        rows += [
            ("last epoch", f"{last.epoch} of {last.stage}"),
            ("loss", f"{last.loss:.3f}"),
            ("top1 of training images", f"{last.top1:.2f} %"),
        ]
        if last.observation is not None:
            rows += [("warning", each) for each in last.observation.warnings]
    return pairs(f"Training {run}, not finished", rows)


def _trained_weights(history: Sequence[EpochRecord]) -> dict[str, CodeUse]:
    """Return what the weights were rounded to when they were last observed."""
    seen = [each.observation for each in history if each.observation is not None]
    return seen[-1].weights if seen else {}


def _show_run(run: Path, console: Console, summary: bool) -> None:
    from tritone.cli.pictures import (
        code_use,
        draw_levels,
        draw_quantizers,
        draw_roofline,
        draw_training,
    )

    tables, pictures = [], []
    training = simulation = None
    history = read_history(run)
    if history:
        draw_training(history, run / "training.png")
        pictures.append(run / "training.png")
        if draw_quantizers(history, run / "quantizers.png"):
            pictures.append(run / "quantizers.png")
    if (run / "train.json").is_file():
        training = read_report(run / "train.json")
        tables.append(training_table(run, training))
    elif history or (run / "recipe.toml").is_file():
        tables.append(_unfinished_table(run, history))
    used = _trained_weights(history)
    if (run / "graph").is_dir():
        network = Network.load(run / "graph")
        used = code_use(network)
        tables.append(layer_table(network))
    if used:
        draw_levels(used, run / "levels.png")
        pictures.append(run / "levels.png")
    if (run / "program.bin").is_file():
        program = Program.load(run / "program.bin")
        tables.append(program_table(program))
        draw_roofline(describe(program), run / "roofline.png")
        pictures.append(run / "roofline.png")
    if (run / "sim.json").is_file():
        simulation = read_json(run / "sim.json", "Report", dict)
        tables.append(simulation_table(simulation))
    if training and simulation:
        tables.append(summary_table(training, simulation))
    for table in tables[-1:] if summary else tables:
        console.print(table)
    for picture in pictures:
        console.print(f"picture: {picture}", soft_wrap=True)
