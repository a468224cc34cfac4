# SPDX-License-Identifier: Apache-2.0
"""The blocks of the machine in an area table, and the cells that a mapped design has in each."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from tritone.spec.area import Area
from tritone.spec.device import Family

__all__ = [
    "ACCELERATOR",
    "BLOCKS",
    "MODULES",
    "WRAPPER",
    "block_modules",
    "block_of",
    "cells",
    "count_blocks",
    "own_area",
]

# Where the accelerator stands in the design that is placed.
ACCELERATOR = "accelerator"

WRAPPER = "wrapper"

# Block of the table, by the module's path within the accelerator.
_BLOCKS = {
    "engine.array": "array",
    "engine.activation_reader": "reader",
    "engine.feature_memory": "memories",
    "engine.weight_memory": "memories",
    "engine.parameter_memory": "memories",
    "engine.terms_memory": "memories",
    "engine.code_unpacker": "unpacker",
    "engine.requantizer": "requantiser",
    "engine.pool": "pool",
    "engine.shortcut_reader": "shortcut",
    "engine.write_back": "write-back",
    "engine.step_generator": "steps",
    "engine": "engine",
    "sequencer": "sequencer",
    "dma": "ports",
    "registers": "ports",
}

# The modules that are blocks or parts of one, by that path.
MODULES = tuple(_BLOCKS)

# The blocks in the order of a table.
BLOCKS = tuple(dict.fromkeys(_BLOCKS.values()))


# What each kind of cell takes. ECP5: a carry cell is two tables, a RAM of 16 x 4 four and two for
# writing; wide multiplexers lie between tables. iCE40: a carry cell lies behind its table, which
# is counted where it is used. 7 series: carry cells and wide multiplexers lie behind tables too.
_CELLS: Mapping[Family, Mapping[str, Area]] = {
    Family.ECP5: {
        r"LUT4": Area(sites=1),
        r"CCU2C": Area(sites=2),
        r"TRELLIS_DPR16X4": Area(sites=6),
        r"TRELLIS_FF": Area(ff=1),
        r"DP16KD|PDPW16KD": Area(bram=1),
        r"MULT18X18D": Area(dsp=1),
        r"L6MUX21|PFUMX|TRELLIS_IO|SGSR": Area(),
    },
    Family.ICE40: {
        r"SB_LUT4": Area(sites=1),
        r"SB_DFF\w*": Area(ff=1),
        r"SB_RAM40_4K\w*": Area(bram=1),
        r"SB_MAC16": Area(dsp=1),
        r"SB_SPRAM256KA": Area(spram=1),
        r"SB_CARRY|SB_GB": Area(),
    },
    Family.XC7: {
        r"LUT[1-6]|LUT6_2|INV": Area(sites=1),
        r"SRL16E|SRLC32E|RAM32X1D|RAM64X1D": Area(sites=1),
        r"RAM32M|RAM64M": Area(sites=4),
        r"FD[RSCP]E(_1)?": Area(ff=1),
        r"RAMB36E1": Area(bram=1),
        r"RAMB18E1": Area(bram=0.5),
        r"DSP48E1": Area(dsp=1),
        r"CARRY4|MUXF[78]|BUFG|[IO]BUF": Area(),
    },
    Family.GOWIN: {
        r"LUT[1-4]|ALU|INV": Area(sites=1),
        r"RAM16SDP4": Area(sites=6),
        r"DFF\w*": Area(ff=1),
        r"SDPX?9?B?|DPX?9?B?|SPX?9?": Area(bram=1),
        r"MULT(9X9|18X18)|MULTADDALU\w*|MULTALU\w*": Area(dsp=1),
        r"MUX2_LUT[5-8]|GND|VCC|[IO]BUF": Area(),
    },
}


def block_of(path: str) -> str:
    """Return the block of an instance, by its path within the accelerator.

    What stands in none is counted with the engine.
    """
    while path and path not in _BLOCKS:
        path = path.rpartition(".")[0]
    return _BLOCKS.get(path, "engine")


def block_modules(verilog: str, accelerator: str) -> list[str]:
    """Return the modules of ``verilog`` that are counted for themselves.

    Parameters
    ----------
    verilog : the text of the design.
    accelerator : path of the accelerator in it, from the top module on.
    """
    known = {f"{accelerator}.{path}" for path in _BLOCKS} | {accelerator}
    return [name for name in re.findall(r"^module \\?([\w.$]+)", verilog, re.M) if name in known]


def count_blocks(
    family: Family, statistics: Mapping[str, Any], accelerator: str, modules: Iterable[str]
) -> dict[str, Area]:
    """Return what each block takes, and what stands around the accelerator as WRAPPER.

    Parameters
    ----------
    family : whose cells they are.
    statistics : what ``stat -json`` of yosys wrote.
    accelerator : its path, from the top module on.
    modules : those that kept their hierarchy.

    Raises
    ------
    ValueError : a kind of cell that is not known, so that nothing is left out of the sum.
    """
    top = accelerator.partition(".")[0]
    held = {name.lstrip("\\"): value for name, value in statistics["modules"].items()}
    owner = {
        name: _BLOCKS.get(name.removeprefix(accelerator).lstrip("."), "engine") for name in modules
    }
    owner[top] = WRAPPER
    found: dict[str, Area] = {}

    def walk(name: str, block: str) -> None:
        for kind, count in held[name]["num_cells_by_type"].items():
            kind = kind.lstrip("\\")
            if kind in held:
                for _ in range(count):
                    walk(kind, owner.get(kind, block))
            else:
                found[block] = found.get(block, Area()) + _cell(family, kind) * count

    walk(top, WRAPPER)
    order = [*BLOCKS, WRAPPER]
    return {name: found[name] for name in order if name in found}


def own_area(
    family: Family, statistics: Mapping[str, Any], module: str, apart: Iterable[str]
) -> Area:
    """Return what a module takes that was mapped alone, without those in it that stand apart.

    Raises
    ------
    ValueError : a kind of cell that is not known, so that nothing is left out of the sum.
    """
    left = set(apart)
    total = Area()
    for kind, count in cells(statistics, module).items():
        if kind not in left:
            total += _cell(family, kind) * count
    return total


def cells(statistics: Mapping[str, Any], top: str) -> Counter[str]:
    """Return the cells of the whole design by their kind."""
    held = {name.lstrip("\\"): value for name, value in statistics["modules"].items()}

    def count(name: str) -> Counter[str]:
        total: Counter[str] = Counter()
        for kind, number in held[name]["num_cells_by_type"].items():
            kind = kind.lstrip("\\")
            for each, inside in (count(kind) if kind in held else {kind: 1}).items():
                total[each] += number * inside
        return total

    return count(top)


def _cell(family: Family, kind: str) -> Area:
    if kind.startswith("$"):  # $scopeinfo and the like are no cells
        return Area()
    for pattern, area in _CELLS[family].items():
        if re.fullmatch(pattern, kind):
            return area
    raise ValueError(f"Cell of {family.value} must be a known one, not {kind!r}")
