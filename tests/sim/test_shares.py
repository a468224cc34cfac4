# SPDX-License-Identifier: Apache-2.0
"""tritone_sim.shares: several simulators find what one does."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tritone_sim import shares
from tritone_sim.shares import Processes, Share, divide, processes_for, verify_in_shares
from tritone_sim.verification import verify


@pytest.mark.parametrize(("images", "workers"), [(1, 4), (3, 2), (100, 3), (7, 1), (4001, 1)])
def test_shares_cover_every_image_once(images: int, workers: int) -> None:
    """A free run of all images, and dumps of each one; no share is empty or large."""
    free, *dumped = divide(images, workers)
    assert free == Share(first=0, images=images, dump=False)
    assert all(share.dump and 1 <= share.images <= 500 for share in dumped)
    assert dumped[0].first == 0
    assert all(before.first + before.images == after.first for before, after in pairwise(dumped))
    assert dumped[-1].first + dumped[-1].images == images
    assert max(share.images for share in dumped) - min(share.images for share in dumped) <= 1
    assert len(dumped) >= min(images, workers)


class InTurns:
    """Workers that do all calls in this process, the last one first."""

    def __init__(self, workers: int) -> None:
        self.workers = workers

    def run(
        self,
        function: Callable[..., Any],
        calls: Sequence[tuple[Any, ...]],
        watch: Callable[[], None],
    ) -> Iterator[tuple[int, Any]]:
        """Yield index and result of each call."""
        for index in reversed(range(len(calls))):
            try:
                yield index, function(*calls[index])
            except Exception as error:
                yield index, error
            watch()


def test_shares_find_what_one_simulator_finds(workload: Any, tmp_path: Path) -> None:
    """The same figures and hashes, though the shares are done in another order."""
    seen: list[int] = []
    shared = verify_in_shares(
        workload.model, workload.program, workload.packed, tmp_path, InTurns(2), seen.append
    )
    whole = verify(workload.model, workload.program, workload.packed, tmp_path / "whole")
    assert shared.comparison == whole.comparison
    assert shared.comparison.mismatches == shared.logit_mismatches == 0
    assert (shared.logits == whole.logits).all()
    assert shared.free.cycles == whole.free.cycles
    assert shared.free.results == whole.free.results
    assert seen == [1, 2, 3, 6]
    assert b"".join(outcome.dumps for outcome in shared.dumped) == b"".join(workload.dumps)


def test_a_wrong_value_is_found_in_its_share(
    workload: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The golden machine is given another last image: it is named by its place in the whole."""
    right = shares.golden_tensors
    last = workload.packed[-len(workload.packed) // 3 :]

    def wrong(program: Any, images: bytes) -> Any:
        return right(program, bytes(8) + images[8:] if images == last else images)

    monkeypatch.setattr(shares, "golden_tensors", wrong)
    found = verify_in_shares(
        workload.model, workload.program, workload.packed, tmp_path, InTurns(2)
    )
    divergence = found.comparison.divergence
    assert divergence is not None
    assert (divergence.image, divergence.first, divergence.layer) == (2, 2, "layer0")
    assert divergence.cycle is not None
    # Its run ends before the one of all images does.
    assert divergence.cycle < found.free.cycles
    assert found.comparison.layers[0].mismatches > 0


def test_a_share_that_fails_is_told(workload: Any, tmp_path: Path) -> None:
    """The error of the worker is the error of the whole; here there is no simulator."""
    model = replace(workload.model, folder=tmp_path / "nowhere")
    with pytest.raises(RuntimeError, match=r"^Simulation in .*share\d failed:"):
        verify_in_shares(model, workload.program, workload.packed, tmp_path, InTurns(1))


def test_processes_run_calls_and_report_errors() -> None:
    """Results with the number of their call; what fails is handed over; others go on."""
    seen: list[None] = []
    found = dict(Processes(2).run(math.sqrt, [(9,), (-1,), (4,)], lambda: seen.append(None)))
    assert (found[0], found[2]) == (3.0, 2.0)
    assert isinstance(found[1], ValueError)
    assert seen
    ((_, process),) = Processes(1).run(os.getpid, [()], lambda: None)
    assert process != os.getpid()


def test_what_nobody_waits_for_is_not_begun() -> None:
    """Closing the iterator cancels all calls but those under way: not a minute of sleep."""
    began = time.monotonic()
    running = Processes(1).run(time.sleep, [(0.01,), *[(1.0,)] * 60], lambda: None)
    assert next(running) == (0, None)
    running.close()
    assert time.monotonic() - began < 40


def test_numbers_of_processes() -> None:
    """Few images are not worth another simulator's start."""
    cores = len(os.sched_getaffinity(0))
    assert processes_for(1) == processes_for(24) == 1
    assert processes_for(50) == min(2, cores)
    assert processes_for(1_000_000) == cores
    with pytest.raises(ValueError, match=r"^Processes must be at least 1, not 0$"):
        Processes(0)
