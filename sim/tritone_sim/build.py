# SPDX-License-Identifier: Apache-2.0
"""From Verilog text to a compiled Verilator model, kept under a key of all that goes into it."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tritone.spec.storage import write_atomically
from tritone_sim.control_file import Probe, control_file
from tritone_sim.runner import FastVerilator, Trace
from tritone_sim.toolchain import Toolchain, find_toolchain

__all__ = [
    "MAKE_VARIABLES",
    "VERILATOR_FLAGS",
    "Model",
    "build_model",
    "keep_build",
    "log_tail",
    "run_build",
]

_FINISHED = "finished.json"
_TIMESCALE = ("1ns", "1ps")
# The warnings are about Amaranth's way of writing widths.
VERILATOR_FLAGS = (
    "-Wno-fatal",
    "-Wno-WIDTHEXPAND",
    "-Wno-WIDTHTRUNC",
    "--x-assign",
    "fast",
    "--x-initial",
    "fast",
    "--noassert",
)
# Measured on the demonstration's machine, processor seconds of build and of 180,000 cycles: -O0 15
# and 10, -O1 17 and 1.8, -Os 18 and 1.7, -O2 19 and 1.8.
MAKE_VARIABLES = ("OPT_FAST=-O1", "OPT_SLOW=-O0", "OPT_GLOBAL=-O1")


@dataclass(frozen=True, kw_only=True)
class Model:
    """A compiled design.

    Parameters
    ----------
    folder : where it was built.
    top : name of the top module and of the executable.
    probes : signals inside that a bench may read.
    trace : what it can write of its signals.
    toolchain : what it was built with.
    """

    folder: Path
    top: str
    probes: tuple[Probe, ...]
    trace: Trace
    toolchain: Toolchain


def log_tail(path: Path, lines: int = 20) -> str:
    """Return the last lines of a log."""
    if not path.exists():
        return "no log was written"
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Let one process at a time build the same thing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def keep_build(
    cache: Path,
    toolchain: Toolchain,
    sources: tuple[str, ...],
    flags: tuple[object, ...],
    build: Callable[[Path], None],
) -> Path:
    """Return the folder in ``cache`` of what ``build`` makes, made now or found there.

    A build folder counts only with the marker that is written last: a killed build is done again.

    Parameters
    ----------
    cache : folder of all builds.
    toolchain : the tools, which belong to the key too.
    sources, flags : what goes into the build.
    build : makes it in the folder that it is given.

    Raises
    ------
    ValueError : ``cache`` has a space in its path.
    """
    if " " in str(cache):
        raise ValueError(
            f"Build folder must have a path without spaces, because of make, not {str(cache)!r}"
        )
    tools = _tools(cache, toolchain)
    folder = cache / _digest(*sources, tools, flags)
    with _locked(folder.with_suffix(".lock")):
        if not (folder / _FINISHED).exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            build(folder)
            _remove_intermediates(folder)
            write_atomically(
                folder / _FINISHED, json.dumps({"tools": tools, "flags": flags}).encode()
            )
    return folder


def _tools(cache: Path, toolchain: Toolchain) -> list[str]:
    """Return what a build depends on besides its sources; it holds absolute paths, so these too."""
    return [*toolchain.versions, *toolchain.make_variables(), sys.prefix, str(cache)]


def run_build(commands: Iterable[list[str]], folder: Path, toolchain: Toolchain) -> None:
    """Run the commands of a build in turn; what they print goes into ``folder/build.log``.

    Raises
    ------
    RuntimeError : one failed; the message ends with the log.
    """
    log = folder / "build.log"
    with log.open("w") as file:
        for command in commands:
            done = subprocess.run(
                command,
                env=toolchain.environment(os.environ),
                stdout=file,
                stderr=subprocess.STDOUT,
                check=False,
            )
            if done.returncode:
                raise RuntimeError(f"Verilator build in {folder} failed:\n{log_tail(log)}")


def build_model(
    verilog: str,
    top: str,
    *,
    probes: tuple[Probe, ...] = (),
    trace: Trace = Trace.NOTHING,
    cache: Path = Path("build/verilator"),
) -> Model:
    """Return the model of ``verilog``, built now or found in ``cache``.

    Parameters
    ----------
    verilog : the text of the design.
    top : its top module.
    probes : signals inside that a bench may read, besides the ports.
    trace : what the model can write of its signals.
    cache : folder of all builds.

    Raises
    ------
    FileNotFoundError : a tool is missing.
    ValueError : the design lacks the top module or a probe, or ``cache`` has a space in its path.
    RuntimeError : Verilator or the compiler failed; the message ends with their log.
    """
    toolchain = find_toolchain(waves=trace is Trace.WAVES)
    cache = cache.resolve()
    control = control_file(verilog, top, probes)
    flags = (*VERILATOR_FLAGS, *MAKE_VARIABLES, trace.value)
    runtime = cache / f"runtime-{_digest(_tools(cache, toolchain), flags)[:16]}"

    def model(folder: Path) -> Model:
        return Model(folder=folder, top=top, probes=probes, trace=trace, toolchain=toolchain)

    def build(folder: Path) -> None:
        _build(model(folder), verilog, control, runtime)

    return model(keep_build(cache, toolchain, (verilog, top, control), flags, build))


def _build(model: Model, verilog: str, control: str, runtime: Path) -> None:
    source, control_path = model.folder / f"{model.top}.v", model.folder / f"{model.top}.vlt"
    source.write_text(verilog)
    control_path.write_text(control)
    log = model.folder / "build.log"
    runner = FastVerilator(
        model.toolchain,
        trace=model.trace,
        make_variables=MAKE_VARIABLES,
        runtime_objects=sorted(runtime.glob("*.o")) if (runtime / _FINISHED).exists() else (),
    )
    try:
        runner.build(
            sources=[control_path, source],
            hdl_toplevel=model.top,
            build_dir=model.folder,
            build_args=VERILATOR_FLAGS,
            timescale=_TIMESCALE,
            log_file=log,
        )
    except RuntimeError as error:
        raise RuntimeError(f"Verilator build in {model.folder} failed:\n{log_tail(log)}") from error
    if not (runtime / _FINISHED).exists():
        _keep_runtime(model.folder, runtime)


def _remove_intermediates(folder: Path) -> None:
    """Remove what only compiler and linker read: 140 of 145 MB with the precompiled headers."""
    for suffix in ("gch", "o", "a", "d"):
        for left in folder.glob(f"*.{suffix}"):
            left.unlink()


def _keep_runtime(folder: Path, runtime: Path) -> None:
    """Keep the objects of Verilator's own runtime, most of the work of a small build."""
    with _locked(runtime.with_suffix(".lock")):
        if (runtime / _FINISHED).exists():
            return
        runtime.mkdir(parents=True, exist_ok=True)
        for built in sorted(folder.glob("verilated*.o")):
            shutil.copy(built, runtime)
        write_atomically(runtime / _FINISHED, b"{}\n")
