# SPDX-License-Identifier: Apache-2.0
"""The machines of a front are synthesised at once, each once, and set beside their estimates."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tritone.cli.explore import Exploration
from tritone.cli.explore_synthesis import local_workers, synthesise_front, synthesise_machine
from tritone.estimate.candidates import Candidate
from tritone.estimate.clock_class import ClockClass
from tritone.estimate.front import Point
from tritone.spec.area import Area
from tritone.spec.device import device
from tritone.spec.machine import preset

CLOCK = ClockClass(fmax_mhz=80.0, machine="tiny", device="ecp5-85k", macs_per_cycle=64)


def point(machine: str, network: str) -> Point:
    """Return a point on a preset."""
    candidate = Candidate(
        machine=preset(machine), area=Area(sites=990, ff=5, bram=3, dsp=2), cycles=1000
    )
    return Point(network=network, codebook="post4", candidate=candidate, clock=CLOCK, top1=None)


class Told:
    """Workers that hand back what they were told to, whatever they are asked."""

    workers = 2

    def __init__(self, *results: Any) -> None:
        self._results = results
        self.calls: Sequence[tuple[Any, ...]] = ()

    def run(
        self,
        function: Callable[..., Any],
        calls: Sequence[tuple[Any, ...]],
        watch: Callable[[], None],
    ) -> Iterator[tuple[int, Any]]:
        """Yield the results in the wrong order."""
        assert function is synthesise_machine
        self.calls = calls
        watch()
        for index in reversed(range(len(calls))):
            yield index, self._results[index]


def test_rows(tmp_path: Path) -> None:
    """Two networks on one machine are one synthesis; what failed has a reason."""
    points = (point("tiny", "one"), point("tiny", "other"), point("demo", "one"))
    found = Exploration(device=device("ecp5-85k"), points=points, front=points, left_out=())
    report = {
        "mapped": {"sites": 1000, "ff": 6, "bram": 3, "dsp": 2},
        "sites": 1010,
        "fmax_mhz": 85.5,
    }
    workers = Told(report, ValueError("Machine demo must fit"))
    rows = synthesise_front(found, (1, 2), tmp_path, workers)
    assert [call[0].name for call in workers.calls] == ["tiny", "demo"]
    assert [call[2] for call in workers.calls] == [(1, 2), (1, 2)]
    assert rows[0]["sites_error_percent"] == -1.0
    assert (rows[0]["estimated_sites"], rows[0]["mapped_sites"], rows[0]["sites"]) == (
        990,
        1000,
        1010,
    )
    assert (rows[0]["fmax_mhz"], rows[0]["class_mhz"], rows[0]["reason"]) == (85.5, 80.0, None)
    assert rows[1]["reason"] == "Machine demo must fit"


def test_processes_of_this_machine() -> None:
    """As many as are asked for, else as there are cores; none is refused."""
    assert local_workers(3).workers == 3
    assert local_workers(None).workers == len(os.sched_getaffinity(0))
    with pytest.raises(ValueError, match=r"^Processes must be at least 1, not -1$"):
        local_workers(-1)
