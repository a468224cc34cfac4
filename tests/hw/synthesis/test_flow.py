# SPDX-License-Identifier: Apache-2.0
"""The whole flow on the smallest machine, and what does not fit."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from tritone.spec.device import device
from tritone.spec.machine import preset
from tritone_hw.synthesis.blocks import WRAPPER, Area
from tritone_hw.synthesis.flow import require_fit, synthesise

SMALLEST = replace(
    preset("tiny"),
    name="smallest",
    columns=4,
    requantizer_slots=4,
    feature_words=64,
    weight_words=64,
    parameter_words=64,
)


def test_area(tmp_path: Path) -> None:
    """Every block is there with at least the flip-flops it must have, and nothing is made twice."""
    target = device("gowin-gw2a18")
    stages: list[str] = []
    result = synthesise(SMALLEST, target, build=tmp_path, watch=stages.append)
    assert result.placements == ()
    assert result.best is None
    assert result.area == result.mapped
    assert result.mapped + result.wrapper == sum(result.blocks.values(), Area())
    # A register each: the accumulators of both rails of every column, an instruction.
    assert result.blocks["array"].ff >= SMALLEST.columns * (SMALLEST.even_bits + SMALLEST.odd_bits)
    assert result.blocks["sequencer"].ff >= 512
    # The wrapper holds a flip-flop for each port bit and hardly anything else.
    assert 300 < result.wrapper.ff < 500
    assert result.wrapper.sites < result.wrapper.ff
    assert {"array", "reader", "memories", "requantiser", "sequencer", "ports"} <= set(
        result.blocks
    )
    assert list(result.blocks)[-1] == WRAPPER
    assert any(stage.startswith("map: ") for stage in stages)

    stages.clear()
    assert synthesise(SMALLEST, target, build=tmp_path, watch=stages.append) == result
    assert stages == ["generate the Verilog"]


def test_what_does_not_fit() -> None:
    """What is short is named with what there is, and a device that has enough."""
    tiny = preset("tiny")
    require_fit(tiny, device("ecp5-25k"), Area(sites=24_288, bram=56))
    message = re.escape(
        "Machine tiny must fit ecp5-25k, not need 30,000 sites (it has 24,288), 57 bram (it has "
        "56); ecp5-85k has enough"
    )
    with pytest.raises(ValueError, match=f"^{message}$"):
        require_fit(tiny, device("ecp5-25k"), Area(sites=30_000, bram=57))
    message = r"not need 6,000 sites \(it has 5,280\); take a machine of fewer rows, columns or"
    with pytest.raises(ValueError, match=message):
        require_fit(tiny, device("ice40up5k"), Area(sites=6_000))
