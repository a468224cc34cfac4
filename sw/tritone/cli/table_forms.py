# SPDX-License-Identifier: Apache-2.0
"""The two forms of tables that commands print."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Group
from rich.table import Table
from rich.text import Text

__all__ = ["grid", "pairs"]


def pairs(title: str, rows: Iterable[tuple[str, object]]) -> Group:
    """Return a table of names and values."""
    table = Table(show_header=False)
    table.add_column(style="bold", overflow="fold")
    table.add_column(justify="right", overflow="fold")
    for name, value in rows:
        table.add_row(name, str(value))
    return Group(Text(title, style="bold"), table)


def grid(title: str, columns: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> Group:
    """Return a table whose first column is a name and the others are figures."""
    table = Table()
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if index else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(str(cell) for cell in row))
    return Group(Text(title, style="bold"), table)
