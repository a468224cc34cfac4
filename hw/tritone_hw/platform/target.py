# SPDX-License-Identifier: Apache-2.0
"""The device families that the array has a form of its own for."""

from __future__ import annotations

from enum import Enum

from amaranth.vendor import LatticePlatform

from tritone_hw.platform.ecp5 import Ecp5Form
from tritone_hw.platform.portable import PortableForm
from tritone_hw.platform.xc7 import Xc7Form

__all__ = ["Target", "form_for", "named_target", "small_memory"]


class Target(Enum):
    """What the Verilog is for; the ``platform`` that components are elaborated with."""

    PORTABLE = "portable"  # no vendor's cells: simulation, and any other device
    ECP5 = "ecp5"  # Lattice ECP5: LUT4, CCU2C, TRELLIS_FF
    XC7 = "xc7"  # AMD 7 series: LUT6_2, CARRY4, FDRE


def named_target(name: str) -> Target:
    """Return the target of that name."""
    names = [each.value for each in Target]
    if name not in names:
        raise ValueError(f"Target must be one of {', '.join(names)}, not {name!r}")
    return Target(name)


def form_for(platform: object) -> PortableForm:
    """Return the form of the array for the platform of an elaboration: a Target, or a board's.

    Simulators elaborate without a platform and get the portable form.
    """
    match platform:
        case None | Target.PORTABLE:
            return PortableForm()
        case Target.ECP5:
            return Ecp5Form()
        case Target.XC7:
            return Xc7Form()
        case LatticePlatform(family=Target.ECP5.value):
            return Ecp5Form()
    raise TypeError(
        f"Platform must be a Target, that of a board with an ECP5, or None, not {platform!r}"
    )


def small_memory(platform: object) -> dict[str, str]:
    """Return the attributes of a memory that is to lie in lookup tables, where they can hold one.

    Without them yosys takes flip-flops and multiplexers for a memory of few words that many ports
    read, which is ten times as much.
    """
    if isinstance(form_for(platform), Ecp5Form | Xc7Form):
        return {"ram_style": "distributed"}
    return {}
