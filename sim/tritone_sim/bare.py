# SPDX-License-Identifier: Apache-2.0
"""The machine's Verilog between a host and a memory in C++: what a simulation costs without cocotb.

``bare_main.cpp`` runs the same program on the same images; its memory has the latencies of the
bench's, so that cycles and results must be equal.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tritone.spec.regmap import ErrorCode, Status
from tritone_sim.build import MAKE_VARIABLES, VERILATOR_FLAGS, keep_build, run_build
from tritone_sim.job import Job, Pass
from tritone_sim.runner import JOBS
from tritone_sim.toolchain import Toolchain, find_toolchain

__all__ = ["BareRun", "build_bare", "run_bare"]

_MAIN = Path(__file__).with_name("bare_main.cpp")
_PROGRAM = "bare"


@dataclass(frozen=True, kw_only=True)
class BareRun:
    """What a run without cocotb gave.

    Parameters
    ----------
    cycles : the register at the end.
    processor_seconds : that the host took from start to interrupt, of one core.
    results : bytes of all images.
    """

    cycles: int
    processor_seconds: float
    results: bytes


def build_bare(
    verilog: str, header: str, top: str, *, cache: Path = Path("build/verilator")
) -> Path:
    """Return the program that runs ``verilog``, built now or found in ``cache``.

    Parameters
    ----------
    verilog, top : the text of the design and its top module.
    header : the machine's C header.
    cache : folder of all builds.

    Raises
    ------
    FileNotFoundError : a tool is missing.
    ValueError : ``cache`` has a space in its path.
    RuntimeError : Verilator or the compiler failed; the message ends with their log.
    """
    toolchain = find_toolchain(waves=False)

    def build(folder: Path) -> None:
        (folder / f"{top}.v").write_text(verilog)
        (folder / "machine.h").write_text(header)
        shutil.copy(_MAIN, folder)
        _build(folder, top, toolchain)

    sources = (verilog, header, top, _MAIN.read_text())
    flags = (*VERILATOR_FLAGS, *MAKE_VARIABLES)
    return keep_build(cache.resolve(), toolchain, sources, flags, build) / _PROGRAM


def _build(folder: Path, top: str, toolchain: Toolchain) -> None:
    verilate = [str(toolchain.verilator), "--cc", "--exe", "-Mdir", str(folder), "--prefix", "Vtop"]
    verilate += ["--top-module", top, "-o", _PROGRAM, *VERILATOR_FLAGS]
    verilate += [str(folder / _MAIN.name), str(folder / f"{top}.v")]
    make = [str(toolchain.make), f"-j{JOBS}", "-C", str(folder), "-f", "Vtop.mk"]
    make += [*toolchain.make_variables(), *MAKE_VARIABLES]
    run_build((verilate, make), folder, toolchain)


def run_bare(program: Path, job: Job, folder: Path) -> BareRun:
    """Run the one pass of ``job`` and return what it gave.

    Parameters
    ----------
    program : from ``build_bare``.
    job : with one pass over its first images, which nothing disturbs, without dumps.
    folder : for the files of the run.

    Raises
    ------
    ValueError : the job has other passes.
    RuntimeError : the run does not end, or the machine stopped with an error.
    """
    (each,) = job.passes
    if each != Pass(first=0, images=each.images):
        raise ValueError(f"Bare run must be of the first images, without dumps, not {each}")
    job.save(folder)
    where = job.memory_map
    results = folder / "results.bin"
    numbers = (
        where.program,
        where.images,
        where.results,
        where.dumps,  # bytes of memory: nothing lies behind
        job.instructions,
        each.images,
        job.result_bytes,
        job.hang_cycles * each.images,
    )
    files = (folder / Job.PAYLOAD, folder / Job.IMAGES, results)
    done = subprocess.run(
        [program, *files, *map(str, numbers)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"Bare run in {folder} failed: {done.stderr.strip()}")
    report = json.loads(done.stdout)
    if report["status"] != Status.DONE:
        raise RuntimeError(
            f"Machine must end with status DONE, not {Status(report['status'])!r} "
            f"with error {ErrorCode(report['error']).name}"
        )
    return BareRun(
        cycles=report["cycles"],
        processor_seconds=report["processor_seconds"],
        results=results.read_bytes(),
    )
