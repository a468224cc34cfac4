# SPDX-License-Identifier: Apache-2.0
"""The clock is that of the placed machine nearest in size, on a device of the family."""

from __future__ import annotations

from typing import Any

import pytest

from tritone.estimate.clock_class import ClockClass, clock_class
from tritone.spec.device import device

PLACE = device("ecp5-85k")


def row(**change: Any) -> dict[str, Any]:
    """Return a row of hardware.json."""
    return {
        "kind": "accelerator",
        "machine": "small",
        "device": "ecp5-25k",
        "macs_per_cycle": 64,
        "fmax_mhz": 80.0,
        "measured_or_published": "measured",
    } | change


LARGE = row(machine="large", macs_per_cycle=1024, fmax_mhz=50.0, device="ecp5-85k")


@pytest.mark.parametrize(
    ("macs", "machine"),
    [(16, "small"), (64, "small"), (128, "small"), (512, "large"), (4096, "large")],
)
def test_nearest_in_size(macs: int, machine: str) -> None:
    """Sizes are compared as ratios: 128 is twice 64 and an eighth of 1024."""
    found = clock_class(macs, PLACE, [row(), LARGE])
    assert found is not None
    assert found.machine == machine


def test_the_slower_of_two_equally_near() -> None:
    """256 is four times 64 and a quarter of 1024: whichever is slower, in either order."""
    for rows in ([row(), LARGE], [LARGE, row()]):
        assert clock_class(256, PLACE, rows) == ClockClass(
            fmax_mhz=50.0, machine="large", device="ecp5-85k", macs_per_cycle=1024
        )
    fast = [row(fmax_mhz=40.0), LARGE]
    found = clock_class(256, PLACE, fast)
    assert found is not None
    assert found.machine == "small"


def test_the_better_placement_of_a_size() -> None:
    """Of two placements of one size the faster one counts."""
    found = clock_class(64, PLACE, [row(), row(fmax_mhz=90.0), row(fmax_mhz=85.0)])
    assert found is not None
    assert found.fmax_mhz == 90.0


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "array"},
        {"fmax_mhz": None},
        {"device": "xc7-7z020"},
        {"device": "ice40up5k"},
        {"device": "ulx3s_85f"},
        {"measured_or_published": "published"},
    ],
)
def test_what_does_not_count(change: dict[str, Any]) -> None:
    """Arrays, what was not placed, other families, boards, and what others published."""
    assert clock_class(64, PLACE, [row(**change)]) is None
