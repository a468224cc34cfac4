# SPDX-License-Identifier: Apache-2.0
"""Areas add up; a device says what it has too little of."""

from __future__ import annotations

from tritone.spec.area import Area, devices_for, lacking
from tritone.spec.device import DEVICES, Family, device


def test_areas_add_up() -> None:
    """Sums and multiples are those of each part."""
    one = Area(sites=1.5, ff=2, bram=0.5, dsp=3, spram=1)
    assert one + one == one * 2 == Area(sites=3.0, ff=4, bram=1.0, dsp=6, spram=2)
    assert one + one * -1 == Area()


def test_what_is_lacking_is_told() -> None:
    """What a device has exactly is enough; what it lacks is told with both figures."""
    small = device("ecp5-25k")
    assert lacking(Area(sites=24_288, ff=24_288, bram=56, dsp=28), small) == []
    assert lacking(Area(sites=24_289, bram=92), small) == [
        "24,289 sites (it has 24,288)",
        "92 bram (it has 56)",
    ]


def test_devices_of_the_family() -> None:
    """Those that have enough of everything, of that family alone."""
    assert devices_for(Area(sites=30_000), Family.ECP5) == ["ecp5-85k"]
    assert devices_for(Area(), Family.XC7) == ["xc7-7z020", "xc7-a100t"]
    assert devices_for(Area(dsp=1000), Family.ECP5) == []
    assert {device.family for device in DEVICES.values()} == set(Family)
