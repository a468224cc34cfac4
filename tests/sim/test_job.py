# SPDX-License-Identifier: Apache-2.0
"""tritone_sim.job: what is asked comes back from the files as it was."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from tritone.spec.regmap import ErrorCode, Status
from tritone_sim.job import Channel, Direction, Fault, Job, Outcome, Pass, Progress, Stall

JOB = Job(
    payload=bytes(range(200)),
    instructions=3,
    images=bytes(5000),
    image_bytes=1000,
    result_bytes=16,
    dump_bytes=640,
    passes=(
        Pass(first=0, images=5, dump=True, stall=Stall(probability=0.25, seed=7)),
        Pass(first=0, images=1, stall=Stall(probability=0.5, seed=1, only=Channel.R)),
        Pass(first=4, images=1, fault=Fault(direction=Direction.WRITE, address=64, size=8)),
        Pass(first=1, images=2, reset_after=100),
    ),
)

OUTCOME = Outcome(
    status=Status.DONE | Status.ERROR,
    error=ErrorCode.READ_ERROR,
    instruction=4,
    images_done=2,
    cycles=1 << 40,
    array_cycles=77,
    read_beats=5,
    write_beats=6,
    fingerprint=(1 << 64) - 1,
    open_reads=3,
    seconds=1.5,
    processor_seconds=0.5,
    results=b"abc",
    dumps=b"",
    write_backs=(3, 1 << 40),
)


def test_a_job_survives_its_files(tmp_path: Path) -> None:
    JOB.save(tmp_path)
    assert Job.load(tmp_path) == JOB


def test_an_outcome_survives_its_files(tmp_path: Path) -> None:
    OUTCOME.save(tmp_path, 3)
    loaded = Outcome.load(tmp_path, 3)
    assert replace(loaded, write_backs=tuple(loaded.write_backs)) == OUTCOME
    assert isinstance(loaded.error, ErrorCode)


def test_progress_survives_its_file_and_begins_at_none(tmp_path: Path) -> None:
    assert Progress.load(tmp_path).images_done == 0
    Progress(images_done=12).save(tmp_path)
    assert Progress.load(tmp_path).images_done == 12


def test_the_regions_of_memory_do_not_touch() -> None:
    """Each begins on a page, behind the end of the one before; results take the longest pass."""
    where = JOB.memory_map
    sizes = [len(JOB.payload), len(JOB.images), 5 * JOB.result_bytes]
    starts = [where.program, where.images, where.results, where.dumps]
    assert all(start % 4096 == 0 and start > 0 for start in starts)
    for start, size, following in zip(starts, sizes, starts[1:], strict=False):
        assert start + size <= following


@pytest.mark.parametrize(("first", "images"), [(0, 6), (5, 1), (-1, 1), (0, 0)])
def test_a_pass_over_images_that_are_not_there_is_refused(first: int, images: int) -> None:
    message = f"Pass must run images that are there, 0..4, not {images} from {first}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        replace(JOB, passes=(Pass(first=first, images=images),))


@pytest.mark.parametrize("probability", [0.0, 1.0, 1.5])
def test_a_stall_that_never_or_always_pauses_is_refused(probability: float) -> None:
    message = f"Stall probability must lie between 0 and 1, not {probability}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Stall(probability=probability, seed=0)


@pytest.mark.parametrize(
    ("address", "size", "hit"),
    [(56, 8, False), (57, 8, True), (64, 1, True), (71, 8, True), (72, 8, False)],
)
def test_a_fault_hits_what_touches_its_region(address: int, size: int, hit: bool) -> None:
    """The bytes 64..71; neighbours on both sides do not count."""
    fault = Fault(direction=Direction.READ, address=64, size=8)
    assert fault.hits(address, size) is hit
