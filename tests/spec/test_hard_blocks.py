# SPDX-License-Identifier: Apache-2.0
"""Block memories and multipliers are counted as yosys takes them."""

from __future__ import annotations

import pytest

from tritone.estimate.sweep_table import read_sweep
from tritone.spec.area import Area
from tritone.spec.device import Family
from tritone.spec.hard_blocks import block_memories, hard_area, hard_blocks
from tritone.spec.machine import preset


@pytest.mark.parametrize(
    ("bits", "granule", "words", "blocks"),
    [
        # 36 bits of 512 words: 64 bits in two, or of 1024 words in four of 18.
        (64, 64, 512, 2),
        (64, 64, 1024, 4),
        (64, 64, 2048, 8),
        # From 4096 words on there are no ninths: 64 bits in sixteen of 4.
        (64, 64, 4096, 16),
        (64, 64, 8192, 32),
        (64, 64, 16384, 64),
        (64, 64, 32768, 128),
        # 128 bits take 15 of the 16 ninths of four; as two halves all of them.
        (128, 128, 512, 4),
        (128, 64, 512, 4),
        (64, 32, 512, 2),
        # Few words lie in lookup tables.
        (64, 64, 32, 0),
    ],
)
def test_block_memories(bits: int, granule: int, words: int, blocks: int) -> None:
    """By the widths that an 18-Kbit memory of ECP5 has, each part written alone."""
    assert block_memories(bits, granule, words) == blocks


def test_tiny() -> None:
    """The counts of a synthesis of ``tiny``: 32 block memories, 3 multipliers."""
    found = hard_blocks(preset("tiny"))
    assert {path: counts for path, counts in found.items() if any(counts)} == {
        "engine.feature_memory": (8, 0),
        "engine.weight_memory": (16, 0),
        "engine.parameter_memory": (4, 0),
        "engine.requantizer": (0, 3),
        "sequencer": (2, 0),
        "dma": (2, 0),
    }
    assert hard_area(preset("tiny")) == Area(bram=32, dsp=3)


def test_every_mapped_machine() -> None:
    """What was mapped has exactly these, module by module."""
    rows = read_sweep(Family.ECP5).fitted
    for row in rows:
        counted = hard_blocks(row.machine)
        for path, area in row.parts.items():
            assert counted.get(path, (0, 0)) == (area.bram, area.dsp), (path, row.machine)
