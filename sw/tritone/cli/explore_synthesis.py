# SPDX-License-Identifier: Apache-2.0
"""The machines of a front synthesised, several at once: what is measured beside the estimate."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from tritone.cli.errors import explain
from tritone.cli.explore import Exploration
from tritone.estimate.front import Point
from tritone.spec.device import Device
from tritone.spec.machine import MachineConfig

if TYPE_CHECKING:
    from tritone_sim.shares import Workers

__all__ = ["local_workers", "synthesise_front", "synthesise_machine"]


def local_workers(processes: int | None) -> Workers:
    """Return processes of this machine: as many as it has cores if None are asked for."""
    from tritone_sim.shares import Processes

    return Processes(processes or len(os.sched_getaffinity(0)))


def synthesise_machine(
    machine: MachineConfig, device: Device, seeds: Sequence[int], build: Path
) -> dict[str, Any]:
    """Map a machine, and place and route it for each seed; return the figures of its report.

    Raises
    ------
    FileNotFoundError : a tool is missing.
    ValueError : the device is too small.
    RuntimeError : a tool failed.
    """
    from tritone.cli.synth import synthesis_report
    from tritone_hw.synthesis.flow import synthesise

    return synthesis_report(synthesise(machine, device, seeds=seeds, build=build), None, None)


def synthesise_front(
    found: Exploration, seeds: Sequence[int], build: Path, workers: Workers
) -> list[dict[str, Any]]:
    """Return a row for each machine of the front: estimated and measured, or why it is not.

    Parameters
    ----------
    found : whose front.
    seeds : of the placer; none maps only.
    build : folder for what is generated, the same for all workers.
    workers : who does it, several at once.
    """
    # Networks may share a machine.
    points = list({point.candidate.machine.fingerprint: point for point in found.front}.values())
    calls = [
        (point.candidate.machine, found.device, tuple(seeds), build.resolve()) for point in points
    ]
    rows: dict[int, dict[str, Any]] = {}
    with Console(stderr=True).status("") as status:

        def show() -> None:
            status.update(f"{len(rows)} of {len(points)} machines synthesised")

        for index, result in workers.run(synthesise_machine, calls, show):
            rows[index] = _row(points[index], result)
            show()
    return [rows[index] for index in range(len(points))]


def _row(point: Point, result: Any) -> dict[str, Any]:
    machine, area = point.candidate.machine, point.candidate.area
    row = {
        "machine": machine.name,
        "fingerprint": f"{machine.fingerprint:016x}",
        "estimated_sites": area.sites,
        "estimated_ff": area.ff,
        "estimated_bram": area.bram,
        "estimated_dsp": area.dsp,
        "class_mhz": point.clock.fmax_mhz,
    }
    if isinstance(result, Exception):
        # Ray hands over an error of its own, with the worker's as its cause.
        return row | {"reason": explain(getattr(result, "cause", None) or result)}
    mapped = result["mapped"]
    return row | {
        "mapped_sites": mapped["sites"],
        "mapped_ff": mapped["ff"],
        "mapped_bram": mapped["bram"],
        "mapped_dsp": mapped["dsp"],
        "sites_error_percent": round(100 * (area.sites / mapped["sites"] - 1), 2),
        "sites": result["sites"],
        "fmax_mhz": result["fmax_mhz"],
        "reason": None,
    }
