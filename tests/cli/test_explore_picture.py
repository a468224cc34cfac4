# SPDX-License-Identifier: Apache-2.0
"""The picture of a front names its machines and networks, and is the same every time."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from tritone.cli.explore import Exploration
from tritone.cli.explore_picture import draw_front
from tritone.estimate.candidates import Candidate
from tritone.estimate.clock_class import ClockClass
from tritone.estimate.front import Point
from tritone.spec.area import Area
from tritone.spec.device import device
from tritone.spec.machine import preset

CLOCK = ClockClass(fmax_mhz=80.0, machine="tiny", device="ecp5-85k", macs_per_cycle=64)
POINTS = tuple(
    Point(
        network=network,
        codebook=codebook,
        candidate=Candidate(machine=preset(name), area=Area(sites=sites), cycles=cycles),
        clock=CLOCK,
        top1=None,
    )
    for network, codebook, name, sites, cycles in (
        ("one", "post4", "tiny", 10_000, 9000),
        ("one", "post4", "ecp5_25", 20_000, 4000),
        ("other", "int4", "tiny_uniform", 9_000, 9500),
    )
)
FOUND = Exploration(device=device("ecp5-85k"), points=POINTS, front=POINTS[:2], left_out=())
ROW = {
    "machine": "tiny",
    "fingerprint": f"{preset('tiny').fingerprint:016x}",
    "mapped_sites": 10_100,
    "fmax_mhz": 90.0,
}


def words(path: Path) -> set[str]:
    """Return the texts of an SVG."""
    return {each.text.strip() for each in ElementTree.parse(path).iter() if each.text}


def test_a_picture(tmp_path: Path) -> None:
    """Kinds and networks are told apart, and the front's machines have their shape."""
    path = tmp_path / "front.svg"
    draw_front(FOUND, path)
    found = words(path)
    assert {"one (post4) on post", "other (int4) on uniform"} <= found
    assert {"8×8×1", "16×16×1"} <= found
    assert not any("as placed" in each for each in found)
    again = tmp_path / "again.svg"
    draw_front(FOUND, again)
    assert again.read_bytes() == path.read_bytes()


def test_what_was_synthesised(tmp_path: Path) -> None:
    """Machines that were placed are marked; one that failed is not."""
    path = tmp_path / "front.svg"
    draw_front(FOUND, path, [ROW])
    assert any("as placed" in each for each in words(path))
    draw_front(FOUND, path, [{"machine": "tiny", "reason": "it failed"}])
    assert not any("as placed" in each for each in words(path))
