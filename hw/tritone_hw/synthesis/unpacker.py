# SPDX-License-Identifier: Apache-2.0
"""What unpacking costs: ``python -m tritone_hw.synthesis.unpacker`` prints its cells on ECP5."""

from __future__ import annotations

from collections.abc import Sequence

from tritone.spec.machine import preset
from tritone_hw.code_unpacker import CodeUnpacker
from tritone_hw.synthesis.part import part_cells, print_table

__all__ = ["main", "row"]

_HEAD = ("weights of a step", "LUT4", "of each", "flip-flops", "of each")


def row(machine: str) -> str:
    """Return the row of the unpacker of a preset."""
    shape = preset(machine)
    found, weights = part_cells(CodeUnpacker(shape)), shape.rows * shape.columns
    figures = (found.get("LUT4", 0), found.get("TRELLIS_FF", 0))
    columns = [str(weights)]
    for figure in figures:
        columns += [str(figure), f"{figure / weights:.2f}"]
    return "| " + " | ".join(columns) + " |"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table, for 8x8 and for 16x16 weights."""
    print_table("unpacker", __doc__, _HEAD, map(row, ("tiny-packed", "ecp5_85")), arguments)


if __name__ == "__main__":
    main()
