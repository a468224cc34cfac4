# SPDX-License-Identifier: Apache-2.0
"""The tables of an exploration have its figures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from rich.console import Console, Group

from tritone.cli.explore import Exploration
from tritone.cli.explore_tables import front_table, left_out_table, synthesis_errors_table
from tritone.estimate.candidates import Candidate
from tritone.estimate.clock_class import ClockClass
from tritone.estimate.front import Point
from tritone.spec.area import Area
from tritone.spec.device import device
from tritone.spec.machine import preset

CLOCK = ClockClass(fmax_mhz=81.6, machine="tiny", device="ecp5-85k", macs_per_cycle=64)


def point(network: str, top1: float | None) -> Point:
    """Return a point on ``tiny``."""
    candidate = Candidate(machine=preset("tiny"), area=Area(sites=20910, bram=32), cycles=8160)
    return Point(network=network, codebook="post4", candidate=candidate, clock=CLOCK, top1=top1)


def shown(table: Group) -> str:
    """Return what a wide terminal shows of a table."""
    console = Console(width=140)
    with console.capture() as capture:
        console.print(table)
    return capture.get()


def exploration(*points: Point) -> Exploration:
    """Return an exploration with these points on its front."""
    return Exploration(
        device=device("ecp5-85k"), points=points, front=points, left_out=(("too large", 1234),)
    )


def test_a_front_of_one_network() -> None:
    """Area and its share of the device, cycles, clock, frames a second: 81.6e6 / 8160."""
    text = shown(front_table(exploration(point("digits", 99.5)), Path("place/it.json")))
    for word in (": digits, post4", "20,910", "25 %", "32", "8,160", "82", "10,000", "99.50"):
        assert word in text
    assert "place/it.json" in text


def test_a_front_of_two_networks() -> None:
    """Each has a table; what is not known is a dash, and one that is beaten is told to be."""
    points = (point("one", None), point("other", 90.0))
    text = shown(front_table(exploration(*points), Path("x.json")))
    lines = [line for line in text.splitlines() if "tiny" in line]
    assert [line.split("│")[-2].strip() for line in lines] == ["-", "90.00"]
    assert text.index("one, post4") < text.index("other, post4")
    beaten = replace(exploration(*points), front=points[1:])
    text = shown(front_table(beaten, Path("x.json")))
    assert "one, post4: other networks beat it on every machine" in text
    assert "other, post4: other" not in text


def test_what_was_left_out() -> None:
    """How many run, and how many do not for which reason."""
    text = shown(left_out_table(exploration(point("one", None))))
    assert "too large" in text
    assert "1,234" in text


def test_errors_of_synthesis() -> None:
    """Estimated beside mapped; a machine that failed has its reason."""
    rows = [
        {
            "machine": "good",
            "estimated_sites": 10_000,
            "mapped_sites": 10_100,
            "sites_error_percent": -0.99,
            "estimated_bram": 20,
            "mapped_bram": 20,
            "class_mhz": 81.6,
            "fmax_mhz": None,
            "reason": None,
        },
        {"machine": "bad", "reason": "it must fit"},
    ]
    text = shown(synthesis_errors_table(rows))
    for word in ("good", "10,000", "10,100", "-0.99 %", "81.6", "bad", "it must fit"):
        assert word in text
