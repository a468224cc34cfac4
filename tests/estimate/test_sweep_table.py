# SPDX-License-Identifier: Apache-2.0
"""The committed machines are read as they stand; families without any are refused."""

from __future__ import annotations

import json
import re
from importlib import resources

import pytest

from tritone.estimate.sweep_table import read_sweep
from tritone.spec.area import Area
from tritone.spec.device import Family


def test_rows_are_those_of_the_file() -> None:
    """Each machine has its parameters and the cells of all its modules."""
    text = (resources.files("tritone.estimate") / "area_ecp5.json").read_text(encoding="utf-8")
    content = json.loads(text)
    table = read_sweep(Family.ECP5)
    assert table.tool == content["tool"]
    assert len(table.fitted) == len(content["fitted"]) > 10
    assert len(table.held_out) == len(content["held_out"])
    for row, raw in zip(table.fitted, content["fitted"], strict=True):
        assert row.machine.name == raw["machine"]["name"]
        assert row.machine.rows == raw["machine"]["rows"]
        sites, ff, bram, dsp = raw["modules"]["engine.array"]
        assert row.parts["engine.array"] == Area(sites=sites, ff=ff, bram=bram, dsp=dsp)
        assert row.parts.keys() <= table.blocks.keys()


def test_a_family_without_a_sweep() -> None:
    """The message names those that there are."""
    message = re.escape("Family of an estimate must be ecp5, not xc7")
    with pytest.raises(ValueError, match=f"^{message}$"):
        read_sweep(Family.XC7)
