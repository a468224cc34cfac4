# SPDX-License-Identifier: Apache-2.0
"""The picture of the hardware table has a bar for each row that can have one."""

from __future__ import annotations

from pathlib import Path

from tritone.cli.hardware_picture import draw_hardware


def row(machine: str, sites: float | None, kind: str) -> dict[str, object]:
    """Return a row of hardware.json, as far as the picture needs it."""
    return {
        "machine": machine,
        "codebook": "post4",
        "kind": "array",
        "device": "ecp5-85k",
        "sites_per_mac": sites,
        "measured_or_published": kind,
    }


def test_bars(tmp_path: Path) -> None:
    """Names and figures stand in it, rows without a figure do not, and it is the same again."""
    path = tmp_path / "hardware.svg"
    rows = [row("ours", 31.9, "measured"), row("theirs", 44.0, "published"), row("x", None, "y")]
    draw_hardware(rows, path)
    text = path.read_text()
    for part in ("ours, post4, array, ecp5-85k", "theirs", "31.9", "44.0", "published"):
        assert f">{part}" in text
    assert "x, post4" not in text
    draw_hardware(rows, path)
    assert path.read_text() == text
