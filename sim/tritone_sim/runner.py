# SPDX-License-Identifier: Apache-2.0
"""cocotb's Verilator runner with our tools, without ``--public-flat-rw``."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from pathlib import Path

from cocotb_tools.runner import Verilator

from tritone_sim.toolchain import Toolchain

__all__ = ["JOBS", "FastVerilator", "Trace"]

# Compilers at once.
JOBS = 2


class Trace(Enum):
    """What a model writes of its signals: nothing, when they change, or how often they did."""

    NOTHING = ""
    WAVES = "fst"
    TOGGLES = "saif"

    @property
    def file(self) -> str:
        """Name of the file, in the folder of a simulation."""
        return f"dump.{self.value}"


class FastVerilator(Verilator):
    """Runner for models in which only what the control file names is public.

    Overrides private methods of cocotb_tools 2.1.0, which is why the project pins that version.

    Parameters
    ----------
    toolchain : the tools.
    trace : what to write of every signal; the environment variable WAVES has no say here, because
        a model is kept under a key that says what it traces.
    make_variables : further variables for verilated.mk, such as OPT_FAST.
    runtime_objects : objects of Verilator's runtime from an earlier build with the same flags.
    """

    def __init__(
        self,
        toolchain: Toolchain,
        *,
        trace: Trace,
        make_variables: Sequence[str] = (),
        runtime_objects: Sequence[Path] = (),
    ) -> None:
        super().__init__()
        self.toolchain = toolchain
        self.trace = trace
        self.make_variables = tuple(make_variables)
        self.runtime_objects = tuple(runtime_objects)

    def _simulator_in_path_build_only(self) -> None:
        self.executable = str(self.toolchain.verilator)

    def _set_env_build(self) -> None:
        super()._set_env_build()
        self.env = self.toolchain.environment(self.env)

    def _build_command(self) -> list[list[str]]:
        self.waves = self.trace is not Trace.NOTHING
        verilate, _ = super()._build_command()
        verilate = [str(part) for part in verilate if part != "--public-flat-rw"]
        if self.waves:
            verilate.insert(1, f"--trace-{self.trace.value}")
        if self.trace is Trace.TOGGLES:
            # Verilator leaves out wide signals and, for people, names that begin like its own.
            verilate[1:1] = ["--trace-max-width", "0", "--trace-underscore"]
        make = [str(self.toolchain.make), f"-j{JOBS}", "-C", str(self.build_dir), "-f", "Vtop.mk"]
        make += [*self.toolchain.make_variables(), *self.make_variables]
        commands = [verilate, make]
        if self.runtime_objects:
            # Copied behind the verilation, because make wants them younger than Vtop.mk.
            commands.insert(1, ["cp", *map(str, self.runtime_objects), str(self.build_dir)])
        return commands

    def _test_command(self) -> list[list[str]]:
        self.waves = self.trace is not Trace.NOTHING
        return super()._test_command()

    def _waves_file(self) -> str:
        return self.trace.file
