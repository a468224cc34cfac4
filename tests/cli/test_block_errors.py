# SPDX-License-Identifier: Apache-2.0
"""The worst error of each block."""

from __future__ import annotations

from tritone.cli.block_errors import block_errors, percent


def test_percent() -> None:
    """How much more was estimated than mapped."""
    assert percent(105, 100) == 100 * (1.05 - 1)
    assert percent(50, 100) == -50.0


def test_the_worst_of_each_block() -> None:
    """By its share, whatever its sign; a block of nothing has no error."""
    rows = [
        {"machine": "a", "blocks": {"pool": [110, 100], "ports": [1000, 1000], "none": [0, 0]}},
        {"machine": "b", "blocks": {"pool": [160, 200], "ports": [990, 1000]}},
    ]
    found = {
        name: (round(share, 6), sites, machine)
        for name, share, sites, machine in block_errors(rows)
    }
    assert found == {
        "pool": (-20.0, -40, "b"),
        "ports": (-1.0, -10, "b"),
        "none": (0.0, 0, "a"),
    }
