# SPDX-License-Identifier: Apache-2.0
"""The machines that were mapped for the estimate: rows of a file that stands beside this module."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tritone.spec.area import Area
from tritone.spec.device import Family
from tritone.spec.machine import MachineConfig

__all__ = ["SweepRow", "SweepTable", "read_sweep"]

_FOLDER = Path(__file__).parent


@dataclass(frozen=True, kw_only=True)
class SweepRow:
    """A machine that was mapped.

    Parameters
    ----------
    machine : which one.
    parts : cells of each module, by its path within the accelerator; of a machine that was mapped
        whole, of each block.
    """

    machine: MachineConfig
    parts: Mapping[str, Area]


@dataclass(frozen=True, kw_only=True)
class SweepTable:
    """What was mapped.

    Parameters
    ----------
    tool : by which version of what.
    blocks : the block of each module.
    fitted : machines that the estimate is fitted to, module by module.
    held_out : machines that it must not see, block by block.
    """

    tool: str
    blocks: Mapping[str, str]
    fitted: tuple[SweepRow, ...]
    held_out: tuple[SweepRow, ...]


def _rows(rows: Sequence[Mapping[str, Any]], parts: str) -> tuple[SweepRow, ...]:
    return tuple(
        SweepRow(
            machine=MachineConfig.from_values(row["machine"]),
            parts={
                name: Area(sites=sites, ff=ff, bram=bram, dsp=dsp)
                for name, (sites, ff, bram, dsp) in row[parts].items()
            },
        )
        for row in rows
    )


def read_sweep(family: Family) -> SweepTable:
    """Return the table of a family.

    Raises
    ------
    ValueError : there is none of that family.
    """
    path = _FOLDER / f"area_{family.value}.json"
    if not path.is_file():
        found = sorted(each.stem.removeprefix("area_") for each in _FOLDER.glob("area_*.json"))
        raise ValueError(f"Family of an estimate must be {' or '.join(found)}, not {family.value}")
    content = json.loads(path.read_text(encoding="utf-8"))
    return SweepTable(
        tool=content["tool"],
        blocks=content["blocks"],
        fitted=_rows(content["fitted"], "modules"),
        held_out=_rows(content["held_out"], "blocks"),
    )
