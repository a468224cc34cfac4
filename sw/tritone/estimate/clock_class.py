# SPDX-License-Identifier: Apache-2.0
"""About how fast a machine is on a device: as fast as the placed one nearest in size."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tritone.spec.device import DEVICES, Device

__all__ = ["ClockClass", "clock_class"]


@dataclass(frozen=True, kw_only=True)
class ClockClass:
    """A clock that was measured on another machine, or on this one.

    Parameters
    ----------
    fmax_mhz : of the best placement.
    machine, device : where it was measured.
    macs_per_cycle : of that machine.
    """

    fmax_mhz: float
    machine: str
    device: str
    macs_per_cycle: int


def clock_class(
    macs_per_cycle: int, device: Device, rows: Iterable[Mapping[str, Any]]
) -> ClockClass | None:
    """Return the clock of the machine nearest in size, as a ratio; None where none was placed.

    A class, no more: kinds of arrays, memories and the placer's luck make no difference to it. Of
    two that are equally near the slower one counts; of two that are equally large the faster one,
    for it is the better placement.

    Parameters
    ----------
    macs_per_cycle : multiply-accumulates of a full step of the machine.
    device : where it is to be; machines on devices of its family count.
    rows : of the table of hardware (docs/results/hardware.json).
    """
    found: dict[int, ClockClass] = {}
    for row in rows:
        place = DEVICES.get(row["device"])
        measured = row["kind"] == "accelerator" and row["measured_or_published"] == "measured"
        if not measured or place is None or place.family is not device.family:
            continue
        if row["fmax_mhz"] is None:
            continue
        each = ClockClass(
            fmax_mhz=row["fmax_mhz"],
            machine=row["machine"],
            device=row["device"],
            macs_per_cycle=row["macs_per_cycle"],
        )
        known = found.get(each.macs_per_cycle)
        if known is None or each.fmax_mhz > known.fmax_mhz:
            found[each.macs_per_cycle] = each

    def distance(each: ClockClass) -> tuple[float, float]:
        return abs(math.log2(each.macs_per_cycle / macs_per_cycle)), each.fmax_mhz

    return min(found.values(), key=distance, default=None)
