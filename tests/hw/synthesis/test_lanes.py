# SPDX-License-Identifier: Apache-2.0
"""What a lane without a multiplier costs."""

from __future__ import annotations

import re

from tritone.spec.machine import RequantizerKind
from tritone_hw.synthesis.lanes import row


def test_a_lane_without_a_multiplier() -> None:
    """No DSP block though they are allowed; docs/machine.md has 782 sites, some room for yosys."""
    columns = [each.strip() for each in row(RequantizerKind.HALF_OCTAVE, dsp=True).split("|")]
    kind, _, lut, carry, sites, dsp, flip_flops = columns[1:-1]
    assert kind == "`half_octave`"
    assert int(sites) == int(lut) + 2 * int(carry)
    assert int(dsp) == 0
    assert all(re.fullmatch(r"[1-9]\d*", each) for each in (lut, carry, flip_flops))
    assert int(sites) < 850
