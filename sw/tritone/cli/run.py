# SPDX-License-Identifier: Apache-2.0
"""``tritone run``: the test images of a run through a board."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from tritone.cli.options import require_path
from tritone.compiler import pack_images
from tritone.golden.dump import unpack_dump
from tritone.host.link import Link
from tritone.host.loaded_program import LoadedProgram
from tritone.host.serial_line import open_line
from tritone.spec.host_link import BAUD
from tritone.spec.program import Program
from tritone.spec.storage import write_json

__all__ = ["run_on_board", "run_simulated"]

# Cycles of a bit of the simulated serial line: the fewer, the sooner it is done.
_SIMULATED_DIVISOR = 4


def run_simulated(run: Path, images: int, seconds: float, build: Path) -> dict[str, Any]:
    """Do what ``run_on_board`` does with a board in the simulator.

    It says that it has the clock of a ULX3S, and has as much memory.

    Parameters
    ----------
    run, images, seconds : as for ``run_on_board``, and so is what is returned and raised.
    build : folder of compiled models.
    """
    from tritone_hw.board.catalog import board
    from tritone_hw.board.hosted_accelerator import HostedAccelerator
    from tritone_hw.emit import TOP, convert
    from tritone_sim.build import build_model
    from tritone_sim.serial_board import serial_board

    program = Program.load(require_path(run / "program.bin", f"tritone compile {run}"))
    like = board("ulx3s_85f")
    with Console(stderr=True).status("build the simulator"):
        hosted = HostedAccelerator(
            program.machine,
            memory_bytes=like.memory_bytes,
            clock_hz=like.clock_hz(),
            divisor=_SIMULATED_DIVISOR,
        )
        model = build_model(convert(hosted, TOP), TOP, cache=build / "verilator")
    with serial_board(model, run / "simulation" / "board", _SIMULATED_DIVISOR) as port:
        return run_on_board(run, port, BAUD, images, seconds)


def run_on_board(run: Path, port: str, baud: int, images: int, seconds: float) -> dict[str, Any]:
    """Run the first test images on the board at ``port`` and write ``run/board.json``.

    Parameters
    ----------
    run : folder with program.bin and graph/.
    port, baud : the serial port, and its bits a second.
    images : how many, from the front of the test set; 0: all of them.
    seconds : to wait for an answer of the board, and for the end of a run.

    Returns
    -------
    dict : what board.json holds; ``mismatches`` counts the logits that differ from the exported
        ones, ``fps`` is with the serial line, ``machine_fps`` the clock over the cycles.

    Raises
    ------
    FileNotFoundError : a file of the run is missing.
    ValueError : there is no such port or are not so many images; another machine or a memory too
        small on the board.
    TimeoutError : nobody answers.
    RuntimeError : the machine stopped with an error.
    """
    program = Program.load(require_path(run / "program.bin", f"tritone compile {run}"))
    path = require_path(run / "graph" / "test.safetensors", f"tritone export {run}")
    test = safetensors.numpy.load_file(path)
    count = images or len(test["images"])
    if count > len(test["images"]):
        raise ValueError(
            f"Images must be in 1..{len(test['images'])}, the size of the test set, not {count}"
        )
    packed = pack_images(test["images"][:count], program)

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with open_line(port, baud) as line, Progress(*columns, console=Console(stderr=True)) as shown:
        loading = shown.add_task("load the program", total=len(program.payload))
        running = shown.add_task("run the images", total=count)
        link = Link(line, seconds=seconds)
        loaded = LoadedProgram(link, program, lambda size: shown.update(loading, completed=size))
        began = time.perf_counter()
        found = loaded.run(packed, seconds, lambda done: shown.update(running, completed=done))
        taken = time.perf_counter() - began

    last, size = program.metadata["tensors"][-1], program.metadata["result"]["bytes"]
    logits = np.stack(
        [
            unpack_dump(
                found.results[start : start + last["bytes"]],
                last["shape"],
                last["wide"],
                program.machine.rows,
                last["order"],
            )
            for start in range(0, len(found.results), size)
        ]
    ).reshape(count, -1)
    report = {
        "machine": program.machine.name,
        "fingerprint": f"{program.machine.fingerprint:016x}",
        "network": program.metadata["network"],
        "port": port,
        "clock_mhz": link.clock_hz / 1e6,
        "memory_bytes": link.memory_bytes,
        "images": count,
        "runs": found.runs,
        "mismatches": int((logits != test["logits"][:count]).sum()),
        "top1": 100 * float(np.mean(logits.argmax(axis=1) == test["labels"][:count])),
        "cycles_per_image": found.cycles / count,
        "machine_fps": link.clock_hz * count / found.cycles,
        "fps": count / taken,
        "repeated_requests": link.repeated,
    }
    write_json(run / "board.json", report)
    return report
