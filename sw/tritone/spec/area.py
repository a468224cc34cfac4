# SPDX-License-Identifier: Apache-2.0
"""What a design takes of a device, and the devices that have as much."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields

from tritone.spec.device import DEVICES, Device, Family

__all__ = ["Area", "devices_for", "lacking"]


@dataclass(frozen=True, kw_only=True)
class Area:
    """What a block takes; sums are those of the parts.

    Parameters
    ----------
    sites : lookup tables, those in carry chains and in small memories included.
    ff : flip-flops.
    bram : block memories; halves count as such.
    dsp : multipliers.
    spram : large single-port memories.
    """

    sites: float = 0
    ff: int = 0
    bram: float = 0
    dsp: int = 0
    spram: int = 0

    def __add__(self, other: Area) -> Area:
        return Area(
            **{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)}
        )

    def __mul__(self, count: int) -> Area:
        return Area(**{f.name: getattr(self, f.name) * count for f in fields(self)})


def lacking(area: Area, device: Device) -> list[str]:
    """Return in words what of ``area`` is more than ``device`` has; nothing where it fits."""
    return [
        f"{need:,.0f} {name} (it has {getattr(device, name):,})"
        for name, need in asdict(area).items()
        if need > getattr(device, name)
    ]


def devices_for(area: Area, family: Family) -> list[str]:
    """Return the names of the devices of ``family`` that have what ``area`` takes."""
    return [
        each.name for each in DEVICES.values() if each.family is family and not lacking(area, each)
    ]
