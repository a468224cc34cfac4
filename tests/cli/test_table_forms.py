# SPDX-License-Identifier: Apache-2.0
"""Tables keep what they are given."""

from __future__ import annotations

from rich.console import Console

from tritone.cli.table_forms import grid, pairs


def printed(*tables: object) -> str:
    """Return what a wide terminal shows."""
    console = Console(width=120)
    with console.capture() as capture:
        console.print(*tables)
    return capture.get()


def test_forms() -> None:
    """Titles, names and figures are all there."""
    text = printed(grid("A grid", ("name", "figure"), [("one", 1), ("two", "2 %")]))
    for word in ("A grid", "name", "figure", "one", "1", "two", "2 %"):
        assert word in text
    text = printed(pairs("Some pairs", [("depth", 7), ("width", "wide")]))
    for word in ("Some pairs", "depth", "7", "width", "wide"):
        assert word in text
