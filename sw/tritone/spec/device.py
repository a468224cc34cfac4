# SPDX-License-Identifier: Apache-2.0
"""Devices that a machine is synthesised for: what they have, and which tool places it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

__all__ = ["DEVICES", "Device", "Family", "device", "larger_devices"]


class Family(Enum):
    """Families of devices, each with cells of its own."""

    ECP5 = "ecp5"
    ICE40 = "ice40"
    XC7 = "xc7"
    GOWIN = "gowin"

    @property
    def routed(self) -> bool:
        """Whether place and route is to be had as a wheel; the others get an area only."""
        return self in (Family.ECP5, Family.ICE40)


@dataclass(frozen=True, kw_only=True)
class Device:
    """What a device has.

    Parameters
    ----------
    name : as people name it on the command line.
    family : its family.
    part : the vendor's name.
    package : the package that pins are counted of, in the notation of nextpnr; "" where nothing is
        placed.
    sites : lookup tables: of 4 inputs, of 6 in the 7 series.
    ff : flip-flops.
    bram : block memories.
    bram_bits : bits of one of them.
    dsp : multipliers of about 18 x 18 bits.
    spram : single-port memories of 256 Kbit.
    """

    name: str
    family: Family
    part: str
    package: str
    sites: int
    ff: int
    bram: int
    bram_bits: int
    dsp: int
    spram: int = 0


# Sites, flip-flops, block memories and multipliers: what nextpnr reports as available (ECP5,
# iCE40); AMD DS180 and DS190; Gowin DS102.
DEVICES = {
    each.name: each
    for each in (
        Device(
            name="ecp5-25k",
            family=Family.ECP5,
            part="LFE5U-25F-6BG381C",
            package="CABGA381",
            sites=24_288,
            ff=24_288,
            bram=56,
            bram_bits=18 << 10,
            dsp=28,
        ),
        Device(
            name="ecp5-85k",
            family=Family.ECP5,
            part="LFE5U-85F-6BG381C",
            package="CABGA381",
            sites=83_640,
            ff=83_640,
            bram=208,
            bram_bits=18 << 10,
            dsp=156,
        ),
        Device(
            name="ice40up5k",
            family=Family.ICE40,
            part="iCE40UP5K-SG48",
            package="sg48",
            sites=5_280,
            ff=5_280,
            bram=30,
            bram_bits=4 << 10,
            dsp=8,
            spram=4,
        ),
        Device(
            name="xc7-7z020",
            family=Family.XC7,
            part="XC7Z020-1CLG400C",
            package="",
            sites=53_200,
            ff=106_400,
            bram=140,
            bram_bits=36 << 10,
            dsp=220,
        ),
        Device(
            name="xc7-a100t",
            family=Family.XC7,
            part="XC7A100T-1CSG324C",
            package="",
            sites=63_400,
            ff=126_800,
            bram=135,
            bram_bits=36 << 10,
            dsp=240,
        ),
        Device(
            name="gowin-gw2a18",
            family=Family.GOWIN,
            part="GW2A-LV18PG256C8/I7",
            package="",
            sites=20_736,
            ff=15_552,
            bram=46,
            bram_bits=18 << 10,
            dsp=48,
        ),
    )
}


def device(name: str) -> Device:
    """Return the device of that name."""
    if name not in DEVICES:
        raise ValueError(f"Target must be one of {', '.join(DEVICES)}, not {name!r}")
    return DEVICES[name]


def larger_devices(small: Device) -> list[str]:
    """Return the names of the devices with more lookup tables that are placed too.

    Those of its family; of another one only where it has none.
    """
    larger = [each for each in DEVICES.values() if each.sites > small.sites and each.family.routed]
    own = [each.name for each in larger if each.family is small.family]
    return own or [each.name for each in larger]
