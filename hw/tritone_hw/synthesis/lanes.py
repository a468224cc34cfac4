# SPDX-License-Identifier: Apache-2.0
"""What a lane of the requantiser costs, with a multiplier and without.

``python -m tritone_hw.synthesis.lanes`` prints the cells of both on ECP5, products taking DSP
blocks or logic.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tritone.spec.machine import RequantizerKind, preset
from tritone_hw.requantizer_lane import LANES
from tritone_hw.synthesis.part import part_cells, print_table

__all__ = ["lane_cells", "main", "row"]

_HEAD = ("lane", "products in", "LUT4", "CCU2C", "LUT4 + 2 CCU2C", "MULT18X18D", "flip-flops")


def lane_cells(kind: RequantizerKind, dsp: bool) -> Mapping[str, int]:
    """Return the ECP5 cells of a lane with the accumulators of the presets, by their type.

    Parameters
    ----------
    dsp : products may take DSP blocks.

    Raises
    ------
    FileNotFoundError : yosys is not installed.
    RuntimeError : it failed.
    """
    machine = preset("ecp5_25")
    lane = LANES[kind](machine.even_bits, machine.odd_bits)
    return part_cells(lane, dsp=dsp)


def row(kind: RequantizerKind, dsp: bool) -> str:
    """Return a row of the table."""
    found = lane_cells(kind, dsp)
    lut, carry = found.get("LUT4", 0), found.get("CCU2C", 0)
    products = "nothing"
    if kind is RequantizerKind.MULTIPLIER:
        products = "DSP blocks" if dsp else "logic"
    figures = lut, carry, lut + 2 * carry, found.get("MULT18X18D", 0), found.get("TRELLIS_FF", 0)
    return " | ".join((f"| `{kind}`", products, *map(str, figures))) + " |"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    kinds = (
        (RequantizerKind.MULTIPLIER, True),
        (RequantizerKind.MULTIPLIER, False),
        (RequantizerKind.HALF_OCTAVE, False),
    )
    print_table("lanes", __doc__, _HEAD, (row(kind, dsp) for kind, dsp in kinds), arguments)


if __name__ == "__main__":
    main()
