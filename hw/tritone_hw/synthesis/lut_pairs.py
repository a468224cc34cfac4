# SPDX-License-Identifier: Apache-2.0
"""Lookup tables of the 7 series that a device would take, as against those that yosys counts.

A LUT6 has two outputs of the same five inputs. Vivado puts two functions into one, yosys does not:
its count says more than a device would. What selects in a carry chain comes out of the LUT6 beside
it, and where no function does that, the signal takes that LUT6 to pass: yosys does not count these.
Functions are paired as they come, so it is an estimate.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

__all__ = ["lut_pairs", "route_throughs"]

_SHARED_INPUTS = 5
# A net of more readers is no reason for a pair: looking through all of them would take long.
_READERS = 400


def lut_pairs(netlist: dict[str, Any], top: str) -> int:
    """Return how many LUT6 fewer a flat module takes than it has LUTs.

    Two functions share one if they have at most five inputs together and at least one in common,
    two if both have more than two. LUT6_2 have both outputs in use already, and a function that
    selects in a carry chain has the output that only one can have.

    Parameters
    ----------
    netlist : JSON as yosys writes it.
    top : name of the module.
    """
    cells = netlist["modules"][top]["cells"].values()
    selects = {
        bit for cell in cells if cell["type"] == "CARRY4" for bit in cell["connections"]["S"]
    }
    functions: list[frozenset[int]] = []
    for cell in cells:
        kind, pins = cell["type"], cell["connections"]
        if kind == "INV" or (kind.startswith("LUT") and kind[3:].isdigit()):
            inputs = frozenset(
                bit
                for pin, bits in pins.items()
                if pin != "O"
                for bit in bits
                if isinstance(bit, int)
            )
            if len(inputs) <= _SHARED_INPUTS and pins["O"][0] not in selects:
                functions.append(inputs)
    # Those of many inputs choose first, and the one with the most in common.
    readers: dict[int, list[int]] = defaultdict(list)
    for number, inputs in enumerate(functions):
        for net in inputs:
            readers[net].append(number)
    waiting = set(range(len(functions)))
    pairs = 0
    for number in sorted(waiting, key=lambda each: (-len(functions[each]), each)):
        if number not in waiting:
            continue
        waiting.remove(number)
        mine = functions[number]
        shared = Counter(
            other
            for net in sorted(mine)
            if len(readers[net]) <= _READERS
            for other in readers[net]
            if other in waiting
        )
        for other, common in shared.most_common():
            if common < max(1, min(2, len(mine) - 1)):
                break
            if len(mine | functions[other]) <= _SHARED_INPUTS:
                waiting.remove(other)
                pairs += 1
                break
    return pairs


def route_throughs(netlist: dict[str, Any], top: str) -> int:
    """Return how many LUT6 only pass a signal on into the carry chain of a flat module.

    Those beside a select that is neither constant nor the O6 of a LUT that selects nothing else.

    Parameters
    ----------
    netlist : JSON as yosys writes it.
    top : name of the module.
    """
    cells = netlist["modules"][top]["cells"].values()
    functions = set()
    for cell in cells:
        if cell["type"] == "LUT6_2":
            functions.update(cell["connections"]["O6"])
        elif cell["type"] == "INV" or (cell["type"].startswith("LUT") and cell["type"] != "LUT6_2"):
            functions.update(cell["connections"]["O"])
    found = 0
    for cell in cells:
        if cell["type"] == "CARRY4":
            for bit in cell["connections"]["S"]:
                if isinstance(bit, int):
                    found += bit not in functions
                    functions.discard(bit)
    return found
