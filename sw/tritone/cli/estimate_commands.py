# SPDX-License-Identifier: Apache-2.0
"""The commands about machines that nobody has made yet: ``estimate`` and ``explore``."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from tritone.cli.machine_file import load_machine
from tritone.cli.options import FAILURE, BuildFolder, DataFolder

__all__ = ["estimate_command", "explore_command"]

TargetName = Annotated[str, typer.Option("--target", help="device, such as ecp5-85k")]
ResultsFolder = Annotated[
    Path | None,
    typer.Option(
        "--results",
        help="folder of the tables: clocks of placed machines, top-1; default: docs/results",
    ),
]


def estimate_command(
    machine: Annotated[str, typer.Argument(help="preset, or a .toml file", metavar="MACHINE")],
    target: TargetName = "ecp5-85k",
    results: ResultsFolder = None,
) -> None:
    """Tell a machine's area and class of clock on a device, in milliseconds, without any tool."""
    from tritone.cli.estimate import estimate, estimate_table
    from tritone.spec.device import device

    shape, place = load_machine(machine), device(target)
    Console(highlight=False).print(estimate_table(estimate(shape, place, results), place))


def explore_command(
    networks: Annotated[
        list[str],
        typer.Argument(
            help="run folder with a graph, or a recipe, whose network is drawn with random weights",
            metavar="NETWORK...",
        ),
    ],
    target: TargetName = "ecp5-85k",
    synthesise: Annotated[
        bool, typer.Option("--synthesise", help="map, place and route the machines of the front")
    ] = False,
    seeds: Annotated[
        int, typer.Option("--seeds", min=0, help="of --synthesise: placements; 0: map only")
    ] = 1,
    processes: Annotated[
        int | None,
        typer.Option("--processes", min=1, help="of --synthesise: at once; default: by cores"),
    ] = None,
    cluster: Annotated[
        bool, typer.Option("--cluster", help="of --synthesise: over Ray, by default on all cores")
    ] = False,
    address: Annotated[
        str | None,
        typer.Option("--address", help="of --cluster: a Ray; local: one of its own"),
    ] = None,
    results: ResultsFolder = None,
    data: DataFolder = Path("data"),
    build: BuildFolder = Path("build"),
) -> int:
    """Find the machines on a device that no other one beats in frames a second, area and top-1."""
    from tritone.cli.explore import explore, explored_path, load_subjects, write_exploration
    from tritone.cli.explore_synthesis import local_workers, synthesise_front
    from tritone.cli.explore_tables import front_table, left_out_table, synthesis_errors_table
    from tritone.spec.device import device

    place = device(target)
    if not synthesise and (processes, cluster, address) != (None, False, None):
        raise ValueError(
            "Exploration must have --synthesise to have --processes, --cluster or --address"
        )
    if address is not None and not cluster:
        raise ValueError("Exploration must have --cluster to have --address")
    subjects = load_subjects(networks, results, data, build)
    found = explore(subjects, place, results)
    path = explored_path(subjects, place, build)
    write_exploration(found, path)
    console = Console(highlight=False)
    console.print(left_out_table(found))
    console.print(front_table(found, path))
    if not synthesise:
        return 0
    with ExitStack() as stack:
        if cluster:
            from tritone.cli.cluster import Cluster

            workers = stack.enter_context(Cluster(processes, address=address))
        else:
            workers = local_workers(processes)
        rows = synthesise_front(found, range(1, seeds + 1), build, workers)
    write_exploration(found, path, rows)
    console.print(synthesis_errors_table(rows))
    return FAILURE if any(row["reason"] for row in rows) else 0
