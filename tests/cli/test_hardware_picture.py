# SPDX-License-Identifier: Apache-2.0
"""The picture of the hardware table has a bar for each row that can have one."""

from __future__ import annotations

from pathlib import Path

from tritone.cli.hardware_picture import draw_hardware


def row(
    machine: str, sites: float | None, kind: str, codebook: str = "int W4A4"
) -> dict[str, object]:
    """Return a row of hardware.json, as far as the picture needs it."""
    return {
        "machine": machine,
        "codebook": codebook,
        "kind": "array",
        "device": "ecp5-85k",
        "sites_per_mac": sites,
        "macs_per_cycle": 128,
        "ff": 128,
        "fmax_mhz": 233.4,
        "measured_or_published": kind,
    }


def test_bars(tmp_path: Path) -> None:
    """Names and figures stand in it, rows without a figure do not, and it is the same again."""
    path = tmp_path / "hardware.svg"
    rows = [
        row("ours", 31.9, "measured", codebook="post4"),
        row("theirs", 44.0, "published"),
        row("x", None, "y"),
    ]
    draw_hardware(rows, [], path)
    text = path.read_text()
    for part in ("ours, post4, 233 MHz", "theirs, int W4A4, array", "31.9", "44.0", "published"):
        assert f">{part}" in text
    assert ">x, int" not in text
    draw_hardware(rows, [], path)
    assert path.read_text() == text
