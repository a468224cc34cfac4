# SPDX-License-Identifier: Apache-2.0
"""What unpacking costs: ``python -m tritone_hw.synthesis.unpacker`` prints its cells on ECP5."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from tritone.spec.machine import preset
from tritone_hw.code_unpacker import CodeUnpacker
from tritone_hw.synthesis.part import part_cells
from tritone_hw.synthesis.tools import YOSYS, exit_on_error

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
    parser = argparse.ArgumentParser(prog="unpacker", description=__doc__)
    parser.parse_args(arguments)
    with exit_on_error(parser):
        _print_table()


def _print_table() -> None:
    YOSYS.version()  # before a table that ends at its head
    print("| " + " | ".join(_HEAD) + " |")
    print("|---" * len(_HEAD) + "|")
    for machine in ("tiny-packed", "ecp5_85"):
        print(row(machine), flush=True)


if __name__ == "__main__":
    main()
