# SPDX-License-Identifier: Apache-2.0
"""Cells are counted block by block, whatever nests in what, and none is left out."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tritone.spec.area import Area
from tritone.spec.device import Family
from tritone_hw.synthesis.blocks import WRAPPER, block_modules, cells, count_blocks


def design(**modules: dict[str, int]) -> dict[str, Any]:
    """Return what ``stat -json`` writes of modules with these cells."""
    return {
        "modules": {
            "\\" + name.replace("__", "."): {
                "num_cells_by_type": {kind.replace("__", "."): n for kind, n in held.items()}
            }
            for name, held in modules.items()
        }
    }


STATISTICS = design(
    top={"LUT4": 1, "TRELLIS_FF": 2, "top__accelerator": 1, "$scopeinfo": 3},
    top__accelerator={"top__accelerator__engine": 1, "top__accelerator__registers": 1, "LUT4": 5},
    top__accelerator__engine={"top__accelerator__engine__weight_memory": 2, "LUT4": 100},
    top__accelerator__engine__weight_memory={"DP16KD": 3, "helper": 1},
    top__accelerator__registers={"CCU2C": 7, "PFUMX": 9, "TRELLIS_DPR16X4": 1},
    helper={"LUT4": 10, "MULT18X18D": 1},
)
MODULES = [name.lstrip("\\") for name in STATISTICS["modules"] if "accelerator" in name]


def test_counts() -> None:
    """A block has its own cells and those of what is no block; equal modules count twice."""
    assert count_blocks(Family.ECP5, STATISTICS, "top.accelerator", MODULES) == {
        "memories": Area(sites=20, bram=6, dsp=2),
        "engine": Area(sites=105),
        "ports": Area(sites=14 + 6),
        WRAPPER: Area(sites=1, ff=2),
    }
    assert cells(STATISTICS, "top")["LUT4"] == 1 + 5 + 100 + 20
    assert cells(STATISTICS, "top")["DP16KD"] == 6


def test_a_strange_cell() -> None:
    """What a cell takes must be known."""
    message = re.escape("Cell of ecp5 must be a known one, not 'DCUA'")
    with pytest.raises(ValueError, match=f"^{message}$"):
        count_blocks(Family.ECP5, design(top={"DCUA": 1}), "top.accelerator", [])


def test_blocks_of_a_design() -> None:
    """The modules that keep their boundaries are those of the table, by their place."""
    text = (
        "module top(a);\nmodule \\top.accelerator (b);\n"
        "module \\top.accelerator.engine.array (c);\n"
        "module \\top.accelerator.engine.array.unit0_0 (d);\nmodule \\top.accelerator.dma (e);\n"
    )
    assert block_modules(text, "top.accelerator") == [
        "top.accelerator",
        "top.accelerator.engine.array",
        "top.accelerator.dma",
    ]
