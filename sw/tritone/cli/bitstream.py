# SPDX-License-Identifier: Apache-2.0
"""``tritone bitstream``: the file that puts a machine on a board."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from tritone.cli.synth import run_costs, synthesis_report
from tritone.spec.machine import MachineConfig
from tritone.spec.storage import write_json

__all__ = ["bitstream"]


def bitstream(
    machine: MachineConfig, board_name: str, run: Path | None, seeds: Sequence[int], build: Path
) -> tuple[Path, dict[str, Any]]:
    """Make the bitstream; return the path and content of what is written of it.

    That is ``build/board/<machine>-<board>.json``, beside the bitstream: what that of a synthesis
    holds, and the board. ``fps`` is the board's clock over ``cycles_per_image``.

    Parameters
    ----------
    machine : what is put on the board.
    board_name : which one.
    run : folder with graph/, whose frames a second are told; None leaves them out.
    seeds : of the placer.
    build : folder for what is generated.

    Raises
    ------
    FileNotFoundError, ModuleNotFoundError : a tool, amaranth-boards or the graph is missing.
    ValueError : there is no such board, its device is too small or the machine too slow for it.
    RuntimeError : a tool failed.
    """
    from tritone_hw.board.catalog import board
    from tritone_hw.synthesis.bitstream import make_bitstream

    place = board(board_name)
    network, cycles = run_costs(run, machine)
    title = f"{machine.name} on {place.name}"
    with Console(stderr=True).status(title) as status:
        made = make_bitstream(
            machine,
            place,
            seeds=seeds,
            build=build,
            watch=lambda stage: status.update(f"{title}: {stage}"),
        )
    report = synthesis_report(made.synthesis, network, cycles) | {
        "device": place.name,
        "bitstream": str(made.path),
        "bitstream_bytes": made.path.stat().st_size,
        "clock_mhz": made.clock_hz / 1e6,
        "memory_bytes": place.memory_bytes,
        # A board runs at its clock, not at the highest one.
        "fps": None if cycles is None else round(made.clock_hz / cycles),
    }
    path = made.path.with_suffix(".json")
    write_json(path, report)
    return path, report
