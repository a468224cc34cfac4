# SPDX-License-Identifier: Apache-2.0
"""Where the clocks of placed machines are told: the table of hardware of a folder of results."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

from tritone.cli.results import read_rows
from tritone.cli.results_page import Row

__all__ = ["HARDWARE", "RESULTS", "placed_machines"]

# The table of results that has clocks of placed machines.
HARDWARE = "hardware.json"

# The folder of the results that come with the source.
RESULTS = Path("docs/results")


def placed_machines(results: Path | None) -> list[Row] | None:
    """Return the rows of the table of hardware; None where there is none.

    Parameters
    ----------
    results : its folder; None: ``docs/results`` of the current folder, else what a wheel has of it.

    Raises
    ------
    ValueError : there is no table in ``results``.
    """
    table = (results or RESULTS) / HARDWARE
    if table.is_file():
        return read_rows(table)
    if results is not None:
        raise ValueError(f"Results must be a folder with {HARDWARE}, not {results}")
    # The build of a wheel puts the table here.
    kept = resources.files("tritone.estimate") / HARDWARE
    if not kept.is_file():
        return None
    rows: list[Row] = json.loads(kept.read_text(encoding="utf-8"))
    return rows
