# SPDX-License-Identifier: Apache-2.0
"""tritone_sim.nngen_convolution: NNgen's accelerator in Verilator, where NNgen is installed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tritone_sim.nngen_convolution import draw_peer, run_peer


def test_a_small_accelerator_gives_the_results_of_the_formula(tmp_path: Path) -> None:
    """4 channels of 8x8, one at a time; a changed expectation is found."""
    pytest.importorskip("nngen", reason="nngen is missing: pip install -e '.[bench]'")
    design = draw_peer(tmp_path, parallel=1, channels=4, size=8)
    assert (design.lanes, design.macs) == (9, 4 * 4 * 9 * 8 * 8)
    found = run_peer(design, cache=tmp_path / "verilator")
    # Codes of 4 bits, channels aligned to the 64 bits of the port.
    assert found.words == 8 * 8 * 16 * 4 // 32 == len(design.expected)
    assert found.mismatches == 0
    # No faster than its lanes.
    assert found.cycles > design.macs / design.lanes
    expected = np.copy(design.expected)
    expected[5] ^= 1
    assert (
        run_peer(replace(design, expected=expected), cache=tmp_path / "verilator").mismatches == 1
    )


def test_widths_that_it_does_not_have(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^Bits must be one of \[4, 8\], not 5$"):
        draw_peer(tmp_path, bits=5)
