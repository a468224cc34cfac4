# SPDX-License-Identifier: Apache-2.0
"""Running a job in the simulator, as a child process, while the caller does something else."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tritone_sim.build import Model, log_tail
from tritone_sim.job import Job, Outcome, Progress
from tritone_sim.runner import FastVerilator

__all__ = ["Execution", "execute"]

_BENCH = "tritone_sim.bench"
_LOG = "simulator.log"


class Execution:
    """A simulation under way.

    Parameters
    ----------
    model : the compiled design.
    job : what it does.
    folder : where its files go; what earlier simulations left there is removed.
    """

    def __init__(self, model: Model, job: Job, folder: Path) -> None:
        self.model = model
        self.job = job
        self.folder = folder.resolve()
        for left in (*self.folder.glob("pass*"), self.folder / Progress.FILE):
            left.unlink(missing_ok=True)
        job.save(self.folder)
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        runner = FastVerilator(self.model.toolchain, trace=self.model.trace)
        arguments: dict[str, Any] = {
            "test_module": _BENCH,
            "hdl_toplevel": self.model.top,
            "hdl_toplevel_lang": "verilog",
            "build_dir": self.model.folder,
            "test_dir": self.folder,
            "plusargs": [f"+job={self.folder}"],
            "log_file": self.folder / _LOG,
            # Absolute, or cocotb would name it after the pytest test that is running.
            "results_xml": str(self.folder / "results.xml"),
        }
        try:
            runner.test(**arguments)
        except (Exception, SystemExit) as failure:
            self._failure = failure

    @property
    def running(self) -> bool:
        """Whether the simulator still runs."""
        return self._thread.is_alive()

    @property
    def images_done(self) -> int:
        """Images finished, over all passes."""
        return Progress.load(self.folder).images_done

    def join(self, seconds: float | None = None) -> None:
        """Wait for the simulator to end, at most so long."""
        self._thread.join(seconds)

    def outcomes(self) -> list[Outcome]:
        """Wait for the simulator and return the outcome of every pass.

        Raises
        ------
        RuntimeError : the bench did not finish; the message ends with the simulator's log.
        """
        self.join()
        missing = [
            index
            for index in range(len(self.job.passes))
            if not (self.folder / f"pass{index}.json").exists()
        ]
        if self._failure is not None or missing:
            log = self.folder / _LOG
            raise RuntimeError(
                f"Simulation in {self.folder} failed:\n{log_tail(log)}"
            ) from self._failure
        return [Outcome.load(self.folder, index) for index in range(len(self.job.passes))]


def execute(
    model: Model, job: Job, folder: Path, watch: Callable[[int], None] | None = None
) -> list[Outcome]:
    """Run ``job`` and return the outcome of every pass; ``watch`` is told the images done."""
    execution = Execution(model, job, folder)
    while execution.running:
        execution.join(0.2)
        if watch is not None:
            watch(execution.images_done)
    return execution.outcomes()
