# SPDX-License-Identifier: Apache-2.0
"""A simulation by several simulators at the same time, each with a share of the images."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from tritone.spec.program import Program
from tritone_sim.build import Model
from tritone_sim.divergence import Comparison, compare, join
from tritone_sim.dump import dumped_tensors
from tritone_sim.execution import Execution
from tritone_sim.job import Outcome, Pass, Progress
from tritone_sim.verification import Verification, conclude, golden_tensors, program_job

__all__ = [
    "Part",
    "Processes",
    "Share",
    "Workers",
    "divide",
    "processes_for",
    "run_share",
    "verify_in_shares",
]

# More shares than workers, because the run without dumps takes another time than they do.
_SHARES_OF_A_WORKER = 2
# Dumps of a share are held in memory: of ResNet-20, 190 kB an image.
_MOST_IMAGES = 500
# A simulator of the digits starts in the time of so many images.
_WORTH_IMAGES = 25
_POLL_SECONDS = 0.2


def processes_for(images: int) -> int:
    """Return how many simulators to use: the processors there are, for images enough."""
    return max(1, min(len(os.sched_getaffinity(0)), images // _WORTH_IMAGES))


class Workers(Protocol):
    """What calls functions in other processes: ``Processes``, or a cluster of the command line."""

    workers: int

    def run(
        self,
        function: Callable[..., Any],
        calls: Sequence[tuple[Any, ...]],
        watch: Callable[[], None],
    ) -> Iterator[tuple[int, Any]]:
        """Yield index and result of each call as it is done; an exception where it failed."""
        ...


class Processes:
    """Processes of this machine.

    Parameters
    ----------
    workers : how many.
    """

    def __init__(self, workers: int) -> None:
        if workers < 1:
            raise ValueError(f"Processes must be at least 1, not {workers}")
        self.workers = workers

    def run(
        self,
        function: Callable[..., Any],
        calls: Sequence[tuple[Any, ...]],
        watch: Callable[[], None],
    ) -> Iterator[tuple[int, Any]]:
        """Yield index and result of each call as it is done; an exception where it failed."""
        # A forked child would have the locks of this process, but not the threads that free them.
        context = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(self.workers, mp_context=context)
        try:
            running = {pool.submit(function, *call): index for index, call in enumerate(calls)}
            while running:
                done, _ = wait(running, timeout=_POLL_SECONDS, return_when=FIRST_COMPLETED)
                watch()
                for future in done:
                    yield running.pop(future), future.exception() or future.result()
        finally:
            pool.shutdown(cancel_futures=True)


@dataclass(frozen=True, kw_only=True)
class Share:
    """A run of the machine over neighbouring images, with dumps or freely."""

    first: int
    images: int
    dump: bool


@dataclass(frozen=True, kw_only=True)
class Part:
    """What a share gave.

    Parameters
    ----------
    outcome : of its pass.
    comparison : of its dumps; the images count from its own first.
    golden : of each image, the last tensor of the golden machine.
    """

    outcome: Outcome
    comparison: Comparison | None = None
    golden: tuple[npt.NDArray[np.int64], ...] = ()


def divide(images: int, workers: int) -> tuple[Share, ...]:
    """Return a run of all images without dumps, whose cycles count, and shares of them with dumps.

    The free run is the longest and comes first.
    """
    count = min(images, max(_SHARES_OF_A_WORKER * workers, -(-images // _MOST_IMAGES)))
    bounds = [images * index // count for index in range(count + 1)]
    shares = (Share(first=first, images=end - first, dump=True) for first, end in pairwise(bounds))
    return (Share(first=0, images=images, dump=False), *shares)


def run_share(model: Model, program: Program, images: bytes, share: Share, folder: Path) -> Part:
    """Simulate a share, and compare its dumps with the golden machine.

    Parameters
    ----------
    model : the machine's Verilog, compiled.
    images : the packed images of the share.
    folder : for the files of the simulation.

    Raises
    ------
    RuntimeError : the simulation failed, or the machine stopped with an error.
    """
    job = program_job(program, images, [Pass(first=0, images=share.images, dump=share.dump)])
    execution = Execution(model, job, folder)
    # The golden machine works while the simulator does, on another core.
    expected = golden_tensors(program, images) if share.dump else []
    (outcome,) = execution.outcomes()
    outcome.require_done()
    if not share.dump:
        return Part(outcome=outcome)
    comparison = compare(dumped_tensors(program), outcome.dumps, expected, outcome.write_backs)
    golden = tuple(tensors[-1] for tensors in expected)
    return Part(outcome=replace(outcome, write_backs=()), comparison=comparison, golden=golden)


def verify_in_shares(
    model: Model,
    program: Program,
    images: bytes,
    folder: Path,
    workers: Workers,
    watch: Callable[[int], None] | None = None,
) -> Verification:
    """Run ``images`` with dumps, in shares, and without, and compare with the golden machine.

    What it finds is what ``verify`` finds with one simulator.

    Parameters
    ----------
    model : the machine's Verilog, compiled.
    program : what the Verilog is given.
    images : packed images.
    folder : for the files of the simulations, one folder for each share.
    workers : who does it.
    watch : told the images done, of both passes, now and then.

    Raises
    ------
    RuntimeError : a simulation failed, or the machine stopped with an error.
    """
    size = program.metadata["image"]["bytes"]
    shares = divide(len(images) // size, workers.workers)
    folders = [folder.resolve() / f"share{index}" for index in range(len(shares))]
    calls = [
        (
            model,
            program,
            images[share.first * size : (share.first + share.images) * size],
            share,
            place,
        )
        for share, place in zip(shares, folders, strict=True)
    ]
    for place in folders:
        # What an earlier simulation says there is not the progress of this one.
        (place / Progress.FILE).unlink(missing_ok=True)
    parts: dict[int, Part] = {}

    def look() -> None:
        if watch is not None:
            watch(
                sum(
                    share.images if index in parts else Progress.load(folders[index]).images_done
                    for index, share in enumerate(shares)
                )
            )

    for index, found in workers.run(run_share, calls, look):
        if isinstance(found, BaseException):
            # Ray hands over an error of its own, with the worker's as its cause.
            raise getattr(found, "cause", None) or found
        parts[index] = found
    free, *dumped = (parts[index] for index in range(len(shares)))
    comparisons = [part.comparison for part in dumped if part.comparison is not None]
    return conclude(
        program,
        join(dumped_tensors(program), comparisons, [part.outcome.dumps for part in dumped]),
        [golden for part in dumped for golden in part.golden],
        tuple(part.outcome for part in dumped),
        free.outcome,
    )
