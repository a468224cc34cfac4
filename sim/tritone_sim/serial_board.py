# SPDX-License-Identifier: Apache-2.0
"""A board in the simulator: its serial line is a port of this computer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tritone_sim.build import Model, log_tail
from tritone_sim.runner import FastVerilator
from tritone_sim.serial_bench import PORT_FILE, STOP_FILE

__all__ = ["serial_board"]

_BENCH = "tritone_sim.serial_bench"
_POLL_SECONDS = 0.02
_START_SECONDS = 60.0


@contextmanager
def serial_board(model: Model, folder: Path, divisor: int) -> Iterator[str]:
    """Run a design with a serial line as long as the context lasts; yield the name of its port.

    Parameters
    ----------
    model : compiled; its ports are clk, rst, rx and tx.
    folder : for the files of the simulation.
    divisor : cycles of a bit.

    Raises
    ------
    RuntimeError : the simulator ended early; the message ends with its log.
    """
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    port, stop, log = (folder / name for name in (PORT_FILE, STOP_FILE, "simulator.log"))
    for left in (port, stop):
        left.unlink(missing_ok=True)
    failures: list[BaseException] = []

    def simulate() -> None:
        arguments: dict[str, Any] = {
            "test_module": _BENCH,
            "hdl_toplevel": model.top,
            "hdl_toplevel_lang": "verilog",
            "build_dir": model.folder,
            "test_dir": folder,
            "plusargs": [f"+folder={folder}", f"+divisor={divisor}"],
            "log_file": log,
            "results_xml": str(folder / "results.xml"),
        }
        try:
            FastVerilator(model.toolchain, trace=model.trace).test(**arguments)
        except (Exception, SystemExit) as failure:
            failures.append(failure)

    thread = threading.Thread(target=simulate, daemon=True)
    thread.start()
    try:
        _await(lambda: port.exists() or not thread.is_alive())
        if port.exists():
            yield port.read_text()
    finally:
        stop.touch()
        thread.join()
    if failures or not port.exists():
        raise RuntimeError(f"Simulation in {folder} failed:\n{log_tail(log)}")


def _await(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + _START_SECONDS
    while not condition() and time.monotonic() < until:
        time.sleep(_POLL_SECONDS)
