# SPDX-License-Identifier: Apache-2.0
"""tritone_sim.execution: a simulation that fails never passes for one that ran before it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tritone_sim.execution import Execution, execute
from tritone_sim.job import Pass
from tritone_sim.verification import program_job

ONE = Pass(first=0, images=1)


def test_the_caller_goes_on_meanwhile_and_is_told(workload: Any, folder: Path) -> None:
    """``watch`` sees images that only grow, of all passes together; outcomes come at the end."""
    job = program_job(workload.program, workload.packed, [ONE, Pass(first=0, images=3)])
    seen: list[int] = []
    outcomes = execute(workload.model, job, folder, seen.append)
    assert [outcome.images_done for outcome in outcomes] == [1, 3]
    assert seen == sorted(seen)
    assert all(0 <= done <= 4 for done in seen)
    assert seen


def test_outcomes_of_an_earlier_simulation_are_not_taken(workload: Any, folder: Path) -> None:
    """The second one, in the same folder, has no executable to run."""
    job = program_job(workload.program, workload.packed, [ONE])
    assert execute(workload.model, job, folder)[0].images_done == 1
    broken = replace(workload.model, folder=folder / "nothing")
    with pytest.raises(RuntimeError, match=r"^Simulation in .* failed:\n"):
        execute(broken, job, folder)
    assert not list(folder.glob("pass*"))


def test_an_execution_runs_beside_its_caller(workload: Any, folder: Path) -> None:
    """It is under way behind its construction, and over behind its outcomes."""
    job = program_job(workload.program, workload.packed, [ONE])
    execution = Execution(workload.model, job, folder)
    assert execution.running
    assert len(execution.outcomes()) == 1
    assert not execution.running
