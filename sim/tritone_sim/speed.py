# SPDX-License-Identifier: Apache-2.0
"""How fast a simulation is, and what of it the bench costs beside the bare model."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from tritone.spec.program import Program
from tritone_sim.bare import run_bare
from tritone_sim.build import Model
from tritone_sim.divergence import compare
from tritone_sim.dump import dumped_tensors
from tritone_sim.execution import execute
from tritone_sim.job import Pass
from tritone_sim.verification import golden_tensors, program_job

__all__ = ["Speed", "measure_speed"]


@dataclass(frozen=True, kw_only=True)
class Speed:
    """A part of a simulation.

    Parameters
    ----------
    name : of the part.
    images : that it ran.
    cycles : of the machine's clock; None where there is none.
    seconds : of one core.
    """

    name: str
    images: int
    cycles: int | None
    seconds: float

    @property
    def images_per_second(self) -> float:
        """Images in a second of one core."""
        return self.images / self.seconds

    @property
    def cycles_per_second(self) -> float | None:
        """Clock cycles simulated in a second of one core."""
        return None if self.cycles is None else self.cycles / self.seconds


def measure_speed(
    model: Model, bare: Path, program: Program, images: bytes, folder: Path
) -> tuple[Speed, ...]:
    """Run packed ``images`` in the bench and in the bare model and return what each part takes.

    The bench with dumps, the bench without, the golden machine and the comparison, these three
    together, and the bare model. All times are of the processor, so other work on the machine does
    not show.

    Parameters
    ----------
    model, bare : the machine's Verilog, compiled for the bench and by ``build_bare``.
    program : compiled for the machine.
    folder : for the files of the simulations.

    Raises
    ------
    RuntimeError : a simulation failed, or bench, golden machine and bare model do not agree.
    """
    count = len(images) // program.metadata["image"]["bytes"]
    passes = (Pass(first=0, images=count, dump=True), Pass(first=0, images=count))
    dumped, free = execute(model, program_job(program, images, passes), folder / "bench")
    for outcome in (dumped, free):
        outcome.require_done()
    began = time.process_time()
    tensors = dumped_tensors(program)
    found = compare(tensors, dumped.dumps, golden_tensors(program, images), dumped.write_backs)
    golden = time.process_time() - began
    if found.divergence is not None:
        raise RuntimeError(f"Bench must equal the golden machine, not differ in {found.divergence}")
    alone = run_bare(bare, program_job(program, images, passes[1:]), folder / "bare")
    if (alone.cycles, alone.results) != (free.cycles, free.results):
        raise RuntimeError(
            f"Bare model must take the bench's {free.cycles} cycles to the same results, "
            f"not {alone.cycles}"
        )
    bench = dumped.processor_seconds + free.processor_seconds
    parts = (
        ("bench with dumps", dumped.cycles, dumped.processor_seconds),
        ("bench without", free.cycles, free.processor_seconds),
        ("golden machine, equality", None, golden),
        ("these three", None, bench + golden),
        ("bare C++ model", alone.cycles, alone.processor_seconds),
    )
    return tuple(
        Speed(name=name, images=count, cycles=cycles, seconds=seconds)
        for name, cycles, seconds in parts
    )
