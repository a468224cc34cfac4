# SPDX-License-Identifier: Apache-2.0
"""``tritone estimate``: a machine's area and class of clock on a device, without any tool."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Group

from tritone.cli.results import read_rows
from tritone.cli.results_page import Row
from tritone.cli.table_forms import grid, pairs
from tritone.estimate import area_model, clock_class
from tritone.spec.area import devices_for, lacking
from tritone.spec.device import Device
from tritone.spec.machine import MachineConfig

__all__ = ["HARDWARE", "estimate", "estimate_table"]

# The table of results that has clocks of placed machines.
HARDWARE = "hardware.json"


def estimate(machine: MachineConfig, device: Device, results: Path) -> dict[str, Any]:
    """Return the estimate of a machine as JSON values, and the milliseconds that it took.

    ``blocks``, and their sum, as those of a mapping; ``lacking`` and ``fits`` say where it fits;
    ``clock`` is None where no machine was placed.

    Parameters
    ----------
    machine, device : of what, on what.
    results : folder with the table of placed machines.

    Raises
    ------
    ValueError : there is no model of the device's family.
    """
    began = time.perf_counter()
    found = area_model(device.family).estimate(machine)
    rows: list[Row] = read_rows(results / HARDWARE)
    clock = clock_class(machine.macs_per_cycle, device, rows)
    return {
        "machine": machine.name,
        "device": device.name,
        "macs_per_cycle": machine.macs_per_cycle,
        "blocks": {name: asdict(area) for name, area in found.blocks.items()},
        **asdict(found.area),
        "lacking": lacking(found.area, device),
        "fits": devices_for(found.area, device.family),
        "outside": [
            f"{name} {getattr(machine, name)}, of {low}..{high}"
            for name, (low, high) in found.outside.items()
        ],
        "clock": asdict(clock) if clock else None,
        "milliseconds": round(1e3 * (time.perf_counter() - began), 1),
    }


def estimate_table(report: Mapping[str, Any], device: Device) -> Group:
    """Return the tables of an estimate: cells of each block, and what they come to."""
    resources = ("sites", "ff", "bram", "dsp")
    rows = [
        (name, *(f"{block[each]:,.0f}" for each in resources))
        for name, block in report["blocks"].items()
    ]
    rows.append(("all", *(f"{report[each]:,.0f}" for each in resources)))
    rows.append(
        (
            f"of {device.name}",
            *(f"{100 * report[each] / getattr(device, each):.1f} %" for each in resources),
        )
    )
    clock = report["clock"]
    told = "not known: no machine was placed on this family"
    if clock:
        told = (
            f"{clock['fmax_mhz']:.1f} MHz, that of {clock['machine']} "
            f"({clock['macs_per_cycle']} MAC a cycle) on {clock['device']}"
        )
    verdict = f"fits {device.name}"
    if report["lacking"]:
        verdict = f"does not fit {device.name}: {'; '.join(report['lacking'])}"
    facts: list[tuple[str, object]] = [
        ("verdict", verdict),
        ("devices that have enough", ", ".join(report["fits"]) or "-"),
        ("class of clock", told),
        ("multiply-accumulates a cycle", f"{report['macs_per_cycle']:,}"),
        ("sites for each of them", f"{report['sites'] / report['macs_per_cycle']:.1f}"),
    ]
    if report["outside"]:
        facts.append(("beyond what was mapped", "\n".join(report["outside"])))
    facts.append(("milliseconds", f"{report['milliseconds']:.1f}"))
    title = f"Estimate of {report['machine']} for {report['device']}, as mapped"
    return Group(grid(title, ("block", *resources), rows), pairs("All in all", facts))
