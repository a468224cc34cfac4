# SPDX-License-Identifier: Apache-2.0
"""How far estimates are from synthesis: rows of machines that the estimate has not seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Group
from rich.text import Text

from tritone.cli.block_errors import block_errors, percent
from tritone.cli.results_page import Row
from tritone.cli.table_forms import grid
from tritone.estimate import AreaModel
from tritone.estimate.sweep_table import SweepTable
from tritone.spec.area import Area

__all__ = ["COMMAND", "error_rows", "errors_table"]

# What prints and writes the rows.
COMMAND = "tritone bench estimate --results docs/results"


def error_rows(table: SweepTable) -> list[Row]:
    """Return a row for each held-out machine of a sweep: estimated, mapped, the difference in %.

    ``blocks`` has the sites of each block, estimated and mapped.

    Raises
    ------
    ValueError : the sweep has no machine that was held out.
    """
    if not table.held_out:
        raise ValueError(
            "Sweep must have machines that were held out, not none: "
            "`python -m tritone_hw.synthesis.area_sweep` maps them"
        )
    model = AreaModel(table)
    rows = []
    for held in table.held_out:
        machine, found = held.machine, model.estimate(held.machine)
        mapped, estimated = sum(held.parts.values(), Area()), found.area
        rows.append(
            {
                "machine": machine.name,
                "shape": f"{machine.rows}x{machine.columns}x{machine.pixels}",
                "array": machine.array.value,
                "requantizer": machine.requantizer.value,
                "slots": machine.requantizer_slots,
                "adaptive": machine.adaptive,
                "packing": machine.packing,
                "macs_per_cycle": machine.macs_per_cycle,
                "estimated_sites": estimated.sites,
                "mapped_sites": mapped.sites,
                "sites_error_percent": round(percent(estimated.sites, mapped.sites), 2),
                "estimated_ff": estimated.ff,
                "mapped_ff": mapped.ff,
                "ff_error_percent": round(percent(estimated.ff, mapped.ff), 2),
                "estimated_bram": estimated.bram,
                "mapped_bram": mapped.bram,
                "estimated_dsp": estimated.dsp,
                "mapped_dsp": mapped.dsp,
                "blocks": {
                    name: [found.blocks[name].sites, area.sites]
                    for name, area in held.parts.items()
                },
                "command": COMMAND,
            }
        )
    return rows


def errors_table(rows: Sequence[Row], tables: Mapping[str, Path]) -> Group:
    """Return the tables of ``tritone bench estimate``.

    Parameters
    ----------
    tables : what was written, by its name.
    """
    machines = grid(
        "Machines that the estimate has not seen",
        ("machine", "sites estimated", "mapped", "error", "ff error", "bram", "dsp"),
        [
            (
                row["machine"],
                f"{row['estimated_sites']:,.0f}",
                f"{row['mapped_sites']:,.0f}",
                f"{row['sites_error_percent']:+.2f} %",
                f"{row['ff_error_percent']:+.2f} %",
                f"{row['estimated_bram'] - row['mapped_bram']:+.0f}",
                f"{row['estimated_dsp'] - row['mapped_dsp']:+.0f}",
            )
            for row in rows
        ],
    )
    blocks = grid(
        "Worst error of each block",
        ("block", "error", "sites", "machine"),
        [
            (name, f"{share:+.1f} %", f"{sites:+.0f}", machine)
            for name, share, sites, machine in block_errors(rows)
        ],
    )
    written = [Text(f"{name}: {path}") for name, path in tables.items()]
    return Group(machines, blocks, *written)
