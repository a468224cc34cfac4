# SPDX-License-Identifier: Apache-2.0
"""Accelerators by size: which rows count, in which order, with which figures."""

from __future__ import annotations

from typing import Any

from tritone.cli.size_trend import trend_lines


def row(machine: str, macs: int, clock: float | None, **more: Any) -> dict[str, Any]:
    """Return a row of hardware.json, of a machine of 50 sites a multiply-accumulate."""
    common = {"kind": "accelerator", "device": "ecp5-85k", "network": None, "fps": None}
    sites = {"sites": 50 * macs, "sites_per_mac": 50.0}
    return common | sites | {"machine": machine, "macs_per_cycle": macs, "fmax_mhz": clock} | more


def test_machines_by_size() -> None:
    """The smallest first; rows of other kinds and devices, and those not placed, are none."""
    lines = trend_lines(
        [
            row("large", 512, 80.0, network="resnet20", fps=1234.4),
            row("small", 64, 110.0),
            row("mapped", 256, None),
            row("array", 128, 230.0, kind="array"),
            row("theirs", 144, 100.0, device="xc7"),
            row("7 series", 128, 100.0, device="xc7-7z020"),
        ]
    )
    assert [line for line in lines if line.startswith("| ")][1:] == [
        "| small | 64 | 3,200 | 50.0 | 110.0 | 7.0 | - | - |",
        "| large | 512 | 25,600 | 50.0 | 80.0 | 41.0 | resnet20 | 1,234 |",
    ]


def test_no_machine_no_section() -> None:
    """A table of arrays alone has no such section."""
    assert trend_lines([row("array", 128, 230.0, kind="array")]) == []
