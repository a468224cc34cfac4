# SPDX-License-Identifier: Apache-2.0
"""What unpacking costs."""

from __future__ import annotations

from tritone_hw.synthesis.unpacker import row


def test_a_weight_takes_ten_tables() -> None:
    """Two choose its bits, eight change the base; a few are shared by all 64."""
    weights, lut, of_each, flip_flops, _ = (
        each.strip() for each in row("tiny-packed").split("|")[1:-1]
    )
    assert weights == "64"
    assert 64 * 9 < int(lut) < 64 * 11
    assert float(of_each) == round(int(lut) / 64, 2)
    assert int(flip_flops) > 0
