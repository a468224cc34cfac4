# SPDX-License-Identifier: Apache-2.0
"""tritone_hw.board.catalog: boards as their makers built them."""

from __future__ import annotations

import pytest

from tritone.spec.host_link import BAUD
from tritone_hw.board.catalog import BOARDS, board

pytest.importorskip("amaranth_boards", reason="missing: pip install -e '.[board]'")

# Schematics of ULX3S v3 and OrangeCrab r0.2: clock in Hz, part.
MADE = {"ulx3s_85f": (25_000_000, "LFE5U-85F"), "orangecrab_r0_2_85f": (48_000_000, "LFE5U-85F")}


@pytest.mark.parametrize("name", BOARDS)
def test_what_the_platform_says(name: str) -> None:
    """The device that is counted is the one that is there; the line's speed comes out whole."""
    each = board(name)
    platform = each.platform()
    assert (each.clock_hz(), platform.device) == MADE[name]
    assert each.device.part.startswith(platform.device)
    assert each.divisor(each.clock_hz()) * BAUD == each.clock_hz()
    assert each.memory_bytes * 8 < each.device.bram * each.device.bram_bits / 2


def test_what_is_refused() -> None:
    """Another board; a speed that the clock does not give within 2 %."""
    message = r"^Board must be one of ulx3s_85f, orangecrab_r0_2_85f, not 'arty'$"
    with pytest.raises(ValueError, match=message):
        board("arty")
    ulx3s = board("ulx3s_85f")
    assert ulx3s.divisor(25e6, 115_200) == 217
    for baud in (10_000_000, 100_000_000):
        message = rf"^Baud rate must be 25,000,000 Hz of ulx3s_85f by a whole number, not {baud}$"
        with pytest.raises(ValueError, match=message):
            ulx3s.divisor(25e6, baud)
