# SPDX-License-Identifier: Apache-2.0
"""The Pareto front of machines: those that no other one is better than in everything."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tritone.estimate.candidates import Candidate
from tritone.estimate.clock_class import ClockClass

__all__ = ["Point", "dominates", "pareto_front"]


@dataclass(frozen=True, kw_only=True)
class Point:
    """A machine, a network on it, and how good that is.

    Parameters
    ----------
    network, codebook : what runs, and of which levels its weights are.
    candidate : on what.
    clock : about how fast that is.
    top1 : %, of a trained run; None where there is none.
    """

    network: str
    codebook: str
    candidate: Candidate
    clock: ClockClass
    top1: float | None

    @property
    def fps(self) -> float:
        """Images a second."""
        return self.clock.fmax_mhz * 1e6 / self.candidate.cycles


def dominates(one: Point, other: Point) -> bool:
    """Return whether ``one`` is as good as ``other`` in everything, and better in something.

    More images a second, fewer lookup tables, and higher top-1 are better. Of different networks
    whose top-1 is not known none can be said to be better.
    """
    if one.network != other.network and (one.top1 is None or other.top1 is None):
        return False
    gains = [one.fps - other.fps, other.candidate.area.sites - one.candidate.area.sites]
    if one.top1 is not None and other.top1 is not None:
        gains.append(one.top1 - other.top1)
    return min(gains) >= 0 and max(gains) > 0


def pareto_front(points: Iterable[Point]) -> list[Point]:
    """Return the points that no other one dominates, the smallest machine first."""
    known = list(points)
    front = [each for each in known if not any(dominates(other, each) for other in known)]
    return sorted(front, key=lambda each: (each.candidate.area.sites, each.fps))
