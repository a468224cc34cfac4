# SPDX-License-Identifier: Apache-2.0
"""The front has exactly the points that no other one beats."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from tritone.estimate.candidates import Candidate
from tritone.estimate.clock_class import ClockClass
from tritone.estimate.front import Point, dominates, pareto_front
from tritone.spec.area import Area
from tritone.spec.machine import preset

CLOCK = ClockClass(fmax_mhz=100.0, machine="tiny", device="ecp5-85k", macs_per_cycle=64)


def point(sites: int, cycles: int, top1: float | None = None, network: str = "one") -> Point:
    """Return a point of that area, cycles and accuracy."""
    candidate = Candidate(machine=preset("tiny"), area=Area(sites=sites), cycles=cycles)
    return Point(network=network, codebook="post4", candidate=candidate, clock=CLOCK, top1=top1)


def test_frames_a_second() -> None:
    """100 MHz over 2,000 cycles."""
    assert point(1, 2000).fps == 50_000.0


def test_better_in_one_thing_is_enough() -> None:
    """Equal points do not beat each other; less area or more frames at the same other do."""
    assert not dominates(point(10, 10), point(10, 10))
    assert dominates(point(9, 10), point(10, 10))
    assert dominates(point(10, 9), point(10, 10))
    assert not dominates(point(9, 11), point(10, 10))


def test_accuracy_counts() -> None:
    """A worse network that is smaller and faster beats none that is better."""
    small, good = point(5, 5, 90.0, "one"), point(10, 10, 91.0, "other")
    assert not dominates(small, good)
    assert dominates(replace(small, top1=91.0), good)
    assert pareto_front([small, good]) == [small, good]


def test_unknown_accuracy() -> None:
    """Networks are compared where both are known; machines of one network always."""
    assert not dominates(point(5, 5, None, "one"), point(10, 10, 91.0, "other"))
    assert not dominates(point(5, 5, 91.0, "one"), point(10, 10, None, "other"))
    assert dominates(point(5, 5, None, "one"), point(10, 10, None, "one"))


POINTS = st.lists(
    st.builds(
        point, st.integers(1, 6), st.integers(1, 6), st.sampled_from((89.0, 90.0)), st.just("one")
    ),
    min_size=1,
    max_size=12,
)


@given(POINTS)
def test_the_front(points: list[Point]) -> None:
    """No point of it is beaten by any; every other one is; the smallest machine comes first."""
    front = pareto_front(points)

    def beaten(each: Point) -> bool:
        def facts(one: Point) -> tuple[float, float, float]:
            return -one.candidate.area.sites, -one.candidate.cycles, one.top1 or 0.0

        mine = facts(each)
        others = [facts(other) for other in points]
        return any(
            all(a >= b for a, b in zip(other, mine, strict=True)) and other != mine
            for other in others
        )

    assert [each for each in points if not beaten(each)] == [
        each for each in points if each in front
    ]
    sizes = [each.candidate.area.sites for each in front]
    assert sizes == sorted(sizes)
