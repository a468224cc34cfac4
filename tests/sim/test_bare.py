# SPDX-License-Identifier: Apache-2.0
"""tritone_sim.bare: without cocotb the same cycles and the same results."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tritone.compiler import predict
from tritone.spec.isa import CHECK, INSTRUCTION_BITS
from tritone_sim import simulate
from tritone_sim.bare import run_bare
from tritone_sim.job import Job, Pass
from tritone_sim.verification import program_job

BUILD = Path(__file__).resolve().parents[2] / "build"


def job(workload: Any, each: Pass) -> Job:
    """Return the job of one pass."""
    return program_job(workload.program, workload.packed, [each])


@pytest.mark.parametrize("images", [1, 3])
def test_it_takes_the_predicted_cycles_to_the_golden_results(
    images: int, bare: Path, workload: Any, folder: Path
) -> None:
    """The cycle model, which the bench equals too, and the golden machine's bytes."""
    found = run_bare(bare, job(workload, Pass(first=0, images=images)), folder)
    assert found.cycles == predict(workload.program, images).cycles
    assert found.results == b"".join(workload.results[:images])
    assert 0 < found.processor_seconds < 60


@pytest.mark.parametrize("each", [Pass(first=1, images=1), Pass(first=0, images=1, dump=True)])
def test_other_passes_are_refused(each: Pass, bare: Path, workload: Any, folder: Path) -> None:
    message = f"Bare run must be of the first images, without dumps, not {each}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        run_bare(bare, job(workload, each), folder)


def test_a_machine_that_stops_is_told(bare: Path, workload: Any, folder: Path) -> None:
    """A program for another machine."""
    size = INSTRUCTION_BITS // 8
    payload = workload.program.payload
    check = CHECK.unpack(int.from_bytes(payload[:size], "little"))
    changed = CHECK.pack({**check, "fingerprint": check["fingerprint"] ^ 1})
    payload = changed.to_bytes(size, "little") + payload[size:]
    message = "^Machine must end with status DONE, not .* with error FINGERPRINT_MISMATCH$"
    with pytest.raises(RuntimeError, match=message):
        run_bare(bare, replace(job(workload, Pass(first=0, images=1)), payload=payload), folder)


def test_a_run_that_hangs_is_given_up(bare: Path, workload: Any, folder: Path) -> None:
    """No image ends within a hundred cycles, which stands for never."""
    hanging = replace(job(workload, Pass(first=0, images=1)), hang_cycles=100)
    with pytest.raises(RuntimeError, match=r"^Bare run in .* failed: the run does not end$"):
        run_bare(bare, hanging, folder)


def test_the_same_design_is_built_once(bare: Path, workload: Any) -> None:
    """A second call finds the program where the first one left it."""
    before = bare.stat().st_mtime_ns
    assert simulate.bare_model(workload.program.machine, build=BUILD) == bare
    assert bare.stat().st_mtime_ns == before
