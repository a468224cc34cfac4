# SPDX-License-Identifier: Apache-2.0
"""How often the flip-flops of a machine change while it runs: a proxy for its power.

Counted are bits of registers, those behind the read ports of memories among them, in SAIF as
Verilator writes it. Wires are not: one net has as many names as modules that it goes through, and
what glitches between clock edges no simulation of cycles has. So the figure says which of two
machines moves more data for the same result, and nothing in watts.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tritone.spec.program import Program
from tritone_sim.build import Model
from tritone_sim.dump import dumped_tensors
from tritone_sim.execution import execute
from tritone_sim.job import Outcome, Pass
from tritone_sim.runner import Trace
from tritone_sim.verification import golden_tensors, program_job

__all__ = ["Toggles", "count_toggles", "measure_toggles"]

_MODULE = re.compile(r"^module (\S+?) ?\(.*?^endmodule", re.M | re.S)
_INSTANCE = re.compile(r"^  (\S+) +(\S+) +\($", re.M)
# What a clock edge changes, and what of that is memory.
_REGISTER = re.compile(r"^ +(\\\S++|[\w$]++)(?: ?\[.*)? +<= ", re.M)
_MEMORY = re.compile(r"^  reg \[\d+:\d+\] (\S+) ?\[\d+:\d+\];", re.M)
_NET = re.compile(r"^\((\S+?)(?:\\\[\d+\\\])? \(T0 .*\(TC (\d+)\)\)$")


@dataclass(frozen=True, kw_only=True)
class Toggles:
    """What an image more makes flip.

    Parameters
    ----------
    images : over which this is the mean.
    cycles : of the clock, an image.
    registers : bits that change, an image, by the path of their module below the top one.
    """

    images: int
    cycles: float
    registers: dict[str, float]


def _plain(name: str) -> str:
    return name.removeprefix("\\")


def count_toggles(verilog: str, top: str, lines: Iterable[str]) -> Counter[str]:
    """Return how often bits of registers changed, by the path of their module below the top one.

    Parameters
    ----------
    verilog : the design as ``tritone_hw.emit`` writes it.
    top : its top module.
    lines : of the SAIF of a simulation.

    Raises
    ------
    ValueError : a register of the design is not in the SAIF.
    """
    registers: dict[str, set[str]] = {}
    modules: dict[str, dict[str, str]] = {}
    for found in _MODULE.finditer(verilog):
        name, text = _plain(found[1]), found[0]
        changed = set(_REGISTER.findall(text)) - set(_MEMORY.findall(text))
        registers[name] = {_plain(each) for each in changed}
        modules[name] = {_plain(each[1]): _plain(each[0]) for each in _INSTANCE.findall(text)}
    counted: Counter[str] = Counter()
    seen: dict[str, set[str]] = {}
    scopes: list[tuple[str, str] | None] = []
    for line in lines:
        text = line.strip()
        if text.startswith("(INSTANCE "):
            scopes.append(_scope(text.split()[1], scopes, modules, top))
            if scopes[-1] is not None:
                counted[scopes[-1][0]] += 0
                seen.setdefault(scopes[-1][0], set())
        elif text == "(NET":
            scopes.append(scopes[-1])
        elif text == ")":
            if scopes:
                scopes.pop()
        elif scopes and scopes[-1] is not None and (net := _NET.match(text)):
            path, module = scopes[-1]
            if net[1] in registers[module]:
                counted[path] += int(net[2])
                seen[path].add(net[1])
    _require_all(top, "", modules, registers, seen)
    return counted


def _scope(
    name: str,
    scopes: list[tuple[str, str] | None],
    modules: dict[str, dict[str, str]],
    top: str,
) -> tuple[str, str] | None:
    """Return path and module of an instance; None outside the design."""
    outer = scopes[-1] if scopes else None
    if outer is None:
        return ("", top) if name == top else None
    path, module = outer
    inner = modules[module].get(name)
    return None if inner is None else (f"{path}.{name}".lstrip("."), inner)


def _require_all(
    module: str,
    path: str,
    modules: dict[str, dict[str, str]],
    registers: dict[str, set[str]],
    seen: dict[str, set[str]],
) -> None:
    """Refuse a design of which something was not recorded."""
    for missing in sorted(registers[module] - seen.get(path, set())):
        raise ValueError(f"Register {missing} of {path or module} must be in the SAIF")
    for instance, inner in modules[module].items():
        if inner in modules:
            _require_all(inner, f"{path}.{instance}".lstrip("."), modules, registers, seen)


def measure_toggles(
    model: Model, verilog: str, program: Program, images: bytes, folder: Path
) -> Toggles:
    """Run packed ``images``, two at least, and return what each one behind the first makes flip.

    The first image is run by itself too: loading the program and starting is taken off like that.

    Parameters
    ----------
    model, verilog : the machine, compiled to count toggles, and its text.
    program : compiled for the machine.
    images : packed.
    folder : for the files of the simulations.

    Raises
    ------
    ValueError : fewer than two images, or a model that does not count.
    RuntimeError : a simulation failed, or its results are not those of the golden machine.
    """
    if model.trace is not Trace.TOGGLES:
        raise ValueError(f"Model must trace {Trace.TOGGLES}, not {model.trace}")
    count = len(images) // program.metadata["image"]["bytes"]
    if count < 2:
        raise ValueError(f"Images must be at least 2, not {count}")
    runs = []
    for number in (1, count):
        place = folder / f"images{number}"
        passes = (Pass(first=0, images=number),)
        (outcome,) = execute(model, program_job(program, images, passes), place)
        outcome.require_done()
        with (place / model.trace.file).open(encoding="utf-8") as lines:
            runs.append((outcome, count_toggles(verilog, model.top, lines)))
    (first, started), (all_of_them, counted) = runs
    _require_golden(program, images, all_of_them)
    more = count - 1
    return Toggles(
        images=more,
        cycles=(all_of_them.cycles - first.cycles) / more,
        registers={path: (counted[path] - started[path]) / more for path in counted},
    )


def _require_golden(program: Program, images: bytes, outcome: Outcome) -> None:
    """Refuse a run whose last tensor is not that of the golden machine."""
    last = dumped_tensors(program)[-1]
    size = program.metadata["result"]["bytes"]
    for index, golden in enumerate(golden_tensors(program, images)):
        got = last.decode(outcome.results[index * size : index * size + last.bytes])
        if not np.array_equal(got, golden[-1]):
            raise RuntimeError(f"Image {index} must have the golden machine's results, not others")
