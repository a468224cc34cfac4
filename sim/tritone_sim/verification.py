# SPDX-License-Identifier: Apache-2.0
"""A program on the Verilog and on the golden machine, every tensor compared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tritone.golden.machine import GoldenMachine
from tritone.spec.program import Program
from tritone_sim.build import Model
from tritone_sim.divergence import Comparison, Tensors, compare
from tritone_sim.dump import DumpedTensor, dumped_tensors
from tritone_sim.execution import Execution
from tritone_sim.job import Job, Outcome, Pass

__all__ = ["Verification", "conclude", "golden_tensors", "program_job", "verify"]

_POLL_SECONDS = 0.2


@dataclass(frozen=True, kw_only=True)
class Verification:
    """A program's images through the Verilog, against the golden machine.

    Parameters
    ----------
    tensors : what was compared.
    comparison : every tensor of every image, from the pass with dumps.
    logits : [N, channels] of the last tensor, from the pass without dumps.
    logit_mismatches : values of the last tensor in which that pass differs from the golden machine.
    dumped : the pass with dumps, or those that make it up.
    free : the pass without.
    """

    tensors: tuple[DumpedTensor, ...]
    comparison: Comparison
    logits: npt.NDArray[np.int64]
    logit_mismatches: int
    dumped: tuple[Outcome, ...]
    free: Outcome


def program_job(program: Program, images: bytes, passes: Sequence[Pass]) -> Job:
    """Return the job that runs ``program`` on packed ``images``."""
    return Job(
        payload=program.payload,
        instructions=program.instructions,
        images=images,
        image_bytes=program.metadata["image"]["bytes"],
        result_bytes=program.metadata["result"]["bytes"],
        dump_bytes=sum(tensor.bytes for tensor in dumped_tensors(program)),
        passes=tuple(passes),
    )


def golden_tensors(program: Program, images: bytes) -> list[Tensors]:
    """Return, for each packed image, every tensor that the golden machine computes."""
    golden = GoldenMachine(program)
    size = program.metadata["image"]["bytes"]
    return [
        golden.run(images[start : start + size], images[start + size : start + 2 * size] or None)
        for start in range(0, len(images), size)
    ]


def verify(
    model: Model,
    program: Program,
    images: bytes,
    folder: Path,
    *,
    reference: Program | None = None,
    watch: Callable[[int], None] | None = None,
) -> Verification:
    """Run ``images`` twice, with dumps and without, and compare with the golden machine.

    Parameters
    ----------
    model : the machine's Verilog, compiled.
    program : what the Verilog is given.
    images : packed images.
    folder : for the files of the simulation.
    reference : what the golden machine is given, if it is another program.
    watch : told the images done, of both passes, now and then.

    Raises
    ------
    RuntimeError : the simulation failed, or the machine stopped with an error.
    """
    count = len(images) // program.metadata["image"]["bytes"]
    passes = (Pass(first=0, images=count, dump=True), Pass(first=0, images=count))
    execution = Execution(model, program_job(program, images, passes), folder)
    # The golden machine works while the simulator does, on another core.
    expected = golden_tensors(reference or program, images)
    while execution.running:
        execution.join(_POLL_SECONDS)
        if watch is not None:
            watch(execution.images_done)
    dumped, free = execution.outcomes()
    for outcome in (dumped, free):
        outcome.require_done()
    tensors = dumped_tensors(program)
    return conclude(
        program,
        compare(tensors, dumped.dumps, expected, dumped.write_backs),
        [golden[-1] for golden in expected],
        (dumped,),
        free,
    )


def conclude(
    program: Program,
    comparison: Comparison,
    golden: Sequence[npt.NDArray[np.int64]],
    dumped: tuple[Outcome, ...],
    free: Outcome,
) -> Verification:
    """Return the verification of a program's images; ``golden``: of each image the last tensor."""
    tensors = dumped_tensors(program)
    last = tensors[-1]
    results = [
        last.decode(free.results[start : start + last.bytes])
        for start in range(0, len(free.results), program.metadata["result"]["bytes"])
    ]
    return Verification(
        tensors=tensors,
        comparison=comparison,
        logits=np.stack(results).reshape(len(results), -1),
        logit_mismatches=sum(
            int((got != right).sum()) for got, right in zip(results, golden, strict=True)
        ),
        dumped=dumped,
        free=free,
    )
