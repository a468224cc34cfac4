# SPDX-License-Identifier: Apache-2.0
"""The commands about boards: ``tritone bitstream`` and ``tritone run``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from tritone.cli.machine_file import load_machine
from tritone.cli.options import FAILURE, BuildFolder, MachineName, RunFolder
from tritone.spec.host_link import BAUD

__all__ = ["bitstream_command", "run_command"]


def bitstream_command(
    board: Annotated[str, typer.Option("--board", help="such as ulx3s_85f")] = "ulx3s_85f",
    machine: MachineName = "tiny",
    run: Annotated[
        Path | None, typer.Option("--run", help="run whose frames a second to tell")
    ] = None,
    seeds: Annotated[
        int, typer.Option("--seeds", min=1, help="placements to try, of seeds 1, 2, ...")
    ] = 1,
    build: BuildFolder = Path("build"),
) -> None:
    """Make the bitstream of a machine with memory and a serial port, for a board."""
    from tritone.cli.bitstream import bitstream
    from tritone.cli.tables import bitstream_table

    shape = load_machine(machine)
    path, report = bitstream(shape, board, run, range(1, seeds + 1), build)
    Console(highlight=False).print(bitstream_table(report, path))


def run_command(
    run: RunFolder,
    port: Annotated[
        str | None, typer.Option("--port", help="serial port of the board, such as /dev/ttyUSB0")
    ] = None,
    simulate: Annotated[
        bool, typer.Option("--simulate", help="a board in Verilator instead, at a port of its own")
    ] = False,
    images: Annotated[
        int, typer.Option("--images", min=0, help="held-out images to run; 0: all of them")
    ] = 0,
    baud: Annotated[int, typer.Option("--baud", min=1, help="bits a second of the port")] = BAUD,
    seconds: Annotated[
        float | None,
        typer.Option("--seconds", min=0.1, help="to wait for an answer; default: 2, simulated 60"),
    ] = None,
    build: BuildFolder = Path("build"),
) -> int:
    """Run test images on a board that holds the bitstream, and compare every logit."""
    from tritone.cli.run import run_on_board, run_simulated
    from tritone.cli.tables import board_table

    if (port is None) != simulate:
        raise ValueError("Run must have either --port, of a board, or --simulate")
    if port is None:
        report = run_simulated(run, images, seconds or 60.0, build)
    else:
        report = run_on_board(run, port, baud, images, seconds or 2.0)
    Console(highlight=False).print(board_table(report))
    return FAILURE if report["mismatches"] else 0
