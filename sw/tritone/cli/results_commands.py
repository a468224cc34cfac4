# SPDX-License-Identifier: Apache-2.0
"""The commands about results: ``tritone sweep``, ``tritone check`` and ``tritone report``."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from tritone.cli.options import FAILURE, DataFolder, DeviceName, RunFolder, require_path

__all__ = ["check_command", "report_command", "sweep_command"]


def _console() -> Console:
    return Console(highlight=False)


def sweep_command(
    folder: Annotated[Path, typer.Argument(help="folder of recipes", metavar="FOLDER")],
    runs: Annotated[Path, typer.Option("--runs", help="folder of the run folders")] = Path("runs"),
    data: DataFolder = Path("data"),
    results: Annotated[
        Path | None, typer.Option("--results", help="table (.json) that gets a row of each run")
    ] = None,
    export: Annotated[
        bool, typer.Option("--export", help="export and check each run, all test images")
    ] = False,
    seeds: Annotated[
        str | None, typer.Option("--seeds", help="such as 0,1,2: each recipe with each of them")
    ] = None,
    device: DeviceName = "auto",
    overview: Annotated[bool, typer.Option("--list", help="only say how far the runs are")] = False,
    cluster: Annotated[
        bool, typer.Option("--cluster", help="several runs at once, over Ray")
    ] = False,
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, help="of --cluster: runs at once")
    ] = None,
    address: Annotated[
        str | None,
        typer.Option("--address", help="of --cluster: a Ray; local: one of its own"),
    ] = None,
) -> int:
    """Train every recipe of a folder; what is finished is skipped, what was cut off goes on."""
    from tritone.cli.cluster import Cluster
    from tritone.cli.plan import parse_seeds, plan, read_status
    from tritone.cli.sweep import Work, require_table, sweep
    from tritone.cli.tables import sweep_table
    from tritone.qat.device import Device, parse_device

    tasks = plan(folder, runs, parse_seeds(seeds))
    work = Work(data=data, device=parse_device(device), export=export)
    if results is not None:
        require_table(tasks, results)
    if not cluster and (workers, address) != (None, None):
        raise ValueError("Sweep must have --cluster to have --workers or --address")
    failed: list[str] = []
    if not overview:
        with ExitStack() as stack:
            place = None
            if cluster:
                threads = max([task.recipe.threads for task in tasks if task.recipe], default=1)
                accelerated = work.device is not Device.CPU
                place = stack.enter_context(Cluster(workers, threads, accelerated, address))
            for outcome in sweep(tasks, work, results, place):
                if outcome.reason:
                    failed.append(f"failed: {outcome.task.run.name}: {outcome.reason}")
                    print(failed[-1], file=sys.stderr)
    rows = [(task.run.name, task.epochs, read_status(task)) for task in tasks]
    _console().print(sweep_table(folder, rows))
    for line in failed:
        _console().print(line, soft_wrap=True, markup=False)
    return FAILURE if failed else 0


def check_command(run: RunFolder) -> int:
    """Compare the frozen model's logits of the whole test set with the golden model's."""
    from tritone.cli.check import check_run
    from tritone.cli.tables import check_table

    report = check_run(run)
    _console().print(check_table(run, report))
    return FAILURE if report["mismatches"] else 0


def report_command(
    run: Annotated[
        Path | None,
        typer.Argument(
            help="run folder, or JSON of a synthesis or of a simulated netlist; "
            "without one the pages are written again",
            metavar="[RUN]",
        ),
    ] = None,
    command: Annotated[
        str | None, typer.Option("--command", help="the commands that made the run")
    ] = None,
    results: Annotated[Path, typer.Option("--results", help="folder of the tables")] = Path(
        "docs/results"
    ),
    device: Annotated[
        str | None,
        typer.Option("--device", help="what it was trained on; default: what train.json says"),
    ] = None,
    recipe: Annotated[
        str | None, typer.Option("--recipe", help="its file, if others can get it")
    ] = None,
) -> None:
    """Add what a run or a synthesis measured to the tables of results."""
    from tritone.cli.results import add_netlist, add_run, write_pages

    if run is None:
        tables = write_pages(results)
    elif command is None:
        raise ValueError("Report of a run must have --command, what makes it, not nothing")
    elif run.match("sim-*.json"):
        tables = add_netlist(require_path(run, "tritone sim --netlist"), results, command)
    elif run.suffix == ".json":
        from tritone.cli.hardware_results import add_synthesis

        tables = add_synthesis(require_path(run, "tritone synth"), results, command)
    else:
        tables = add_run(run, results, command, device, recipe)
    for table in tables:
        _console().print(f"table: {table} {table.with_suffix('.md')}", soft_wrap=True)
