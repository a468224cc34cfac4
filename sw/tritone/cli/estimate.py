# SPDX-License-Identifier: Apache-2.0
"""``tritone estimate``: a machine's area and class of clock on a device, without any tool."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Group

from tritone.cli.placed_machines import HARDWARE, RESULTS, placed_machines
from tritone.cli.table_forms import grid, pairs
from tritone.estimate import area_model, clock_class
from tritone.spec.area import devices_for, lacking
from tritone.spec.device import Device
from tritone.spec.machine import MachineConfig

__all__ = ["estimate", "estimate_table"]


def estimate(machine: MachineConfig, device: Device, results: Path | None = None) -> dict[str, Any]:
    """Return the estimate of a machine as JSON values, and the milliseconds that it took.

    ``blocks``, and their sum, as those of a mapping; ``lacking`` and ``fits`` say where it fits;
    ``clock`` is None where it is not known, and ``no_clock`` says why.

    Parameters
    ----------
    machine, device : of what, on what.
    results : as for ``placed_machines``.

    Raises
    ------
    ValueError : there is no model of the device's family, or no table in ``results``.
    """
    began = time.perf_counter()
    found = area_model(device.family).estimate(machine)
    rows = placed_machines(results)
    clock = clock_class(machine.macs_per_cycle, device, rows or ())
    no_clock = None
    if rows is None:
        no_clock = f"{RESULTS / HARDWARE} is not there"
    elif clock is None:
        no_clock = f"no machine was placed on {device.family.value}"
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
        "no_clock": no_clock,
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
    told = f"not known: {report['no_clock']}"
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
