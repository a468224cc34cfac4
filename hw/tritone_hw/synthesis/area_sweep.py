# SPDX-License-Identifier: Apache-2.0
"""The cells that machines of many shapes take on ECP5: what ``tritone.estimate`` is fitted to.

``python -m tritone_hw.synthesis.area_sweep`` maps them and writes
``sw/tritone/estimate/area_ecp5.json``: machines in which each parameter changes, block by block
(``block_mapping``), and machines drawn at random, whole, as ``tritone synth`` maps them. The
estimate does not see the latter: its error is measured on them. What is kept in ``build`` is not
mapped again.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import fields
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

from tritone.spec.area import Area
from tritone.spec.device import DEVICES
from tritone.spec.machine import ArrayKind, MachineConfig, RequantizerKind
from tritone.spec.storage import write_atomically
from tritone_hw.platform.serial_host import SerialHost
from tritone_hw.synthesis.block_mapping import machine_blocks, map_block
from tritone_hw.synthesis.blocks import MODULES, WRAPPER, block_of
from tritone_hw.synthesis.mapping import map_component
from tritone_hw.synthesis.tools import YOSYS, exit_on_error

__all__ = ["HELD_OUT", "fitted_machines", "held_out_machines", "main"]

HELD_OUT = 10
_SEED = 0
# Machines drawn at random have no more multiply-accumulates a cycle: a mapping takes minutes.
_MOST_MACS = 512
_DEVICE = DEVICES["ecp5-85k"]
_FITTED, _HELD_OUT = "fitted", "held_out"
# Of machines that differ elsewhere these differ in the machine's fingerprint only.
_ALIKE = ("registers", "sequencer")

# Words of memories that are deep enough for block memories, and quick to map.
_SHALLOW = 256

_Shape = dict[str, Any]


def _shape(rows: int, columns: int, pixels: int, slots: int | None = None, **more: Any) -> _Shape:
    """Return parameters; memories are of few words, for deep ones map slowly."""
    slots = min(8, columns) if slots is None else slots
    sizes = {"rows": rows, "columns": columns, "pixels": pixels, "requantizer_slots": slots}
    words = {f"{memory}_words": _SHALLOW for memory in ("feature", "weight", "parameter")}
    return sizes | words | more


def _sizes() -> Iterator[_Shape]:
    """Yield shapes of the array and of the requantiser."""
    for rows, columns, pixels, slots in (
        (8, 8, 1, 4),
        (8, 4, 1, 4),
        (8, 8, 2, 8),
        (8, 4, 4, 4),
        (16, 16, 1, 4),
        (16, 8, 2, 4),
        (16, 4, 1, 4),
        (32, 4, 1, 4),
        (32, 8, 1, 8),
    ):
        yield _shape(rows, columns, pixels, slots)


def _kinds() -> Iterator[_Shape]:
    """Yield kinds of the array and widths of its accumulators, half octaves among them."""
    for kind, narrow, wide in ((ArrayKind.UNIFORM, 20, 24), (ArrayKind.POT, 23, 26)):
        yield _shape(8, 8, 1, array=kind, even_bits=narrow)
        half = RequantizerKind.HALF_OCTAVE
        yield _shape(8, 4, 2, array=kind, even_bits=wide, requantizer=half)
        yield _shape(16, 4, 1, array=kind, even_bits=wide)
        yield _shape(32, 4, 1, array=kind, even_bits=narrow)


def _extras() -> Iterator[_Shape]:
    """Yield what the requantiser and the reader can have more, and the unpacker of weights."""
    yield _shape(16, 8, 1, 4, requantizer=RequantizerKind.HALF_OCTAVE)
    yield _shape(8, 8, 1, adaptive=True)
    for extra in ("adaptive", "packing"):
        yield _shape(16, 8, 1, 4, **{extra: True})
        yield _shape(32, 4, 1, **{extra: True})
    yield _shape(8, 4, 2, adaptive=True, packing=True)


def _memories() -> Iterator[_Shape]:
    """Yield sizes of the memories, several at once: blocks look at one or two of them."""
    names = ("feature_words", "weight_words", "parameter_words", "instruction_words")
    for words, width in (
        ((512, 1024, 512, 512), 64),
        ((1024, 2048, 256, 1024), 128),
        ((256, 256, 2048, 512), 16),
    ):
        yield _shape(8, 8, 1) | dict(zip(names, words, strict=True)) | {"gather_width": width}
    yield _shape(8, 4, 1, feature_words=512, parameter_words=512, gather_width=32)


def fitted_machines() -> list[MachineConfig]:
    """Return the machines that the estimate is fitted to, those with other memories first."""
    others = chain.from_iterable(zip_longest(_sizes(), _extras(), _kinds()))
    shapes = [*_memories(), *(shape for shape in others if shape is not None)]
    return [MachineConfig(name=f"fit-{number}", **shape) for number, shape in enumerate(shapes)]


def _drawn() -> Iterator[_Shape]:
    """Yield shapes at random, possible or not."""
    draw = random.Random(_SEED)
    while True:
        columns = draw.choice((4, 8, 16, 32))
        yield {
            "rows": draw.choice((8, 16, 32)),
            "columns": columns,
            "pixels": draw.choice((1, 2, 4)),
            "requantizer_slots": min(columns, draw.choice((4, 8))),
            "feature_words": draw.choice((256, 512, 1024)),
            "weight_words": draw.choice((512, 1024, 2048)),
            "parameter_words": draw.choice((256, 512, 1024)),
            "instruction_words": draw.choice((512, 1024)),
            "gather_width": draw.choice((32, 64, 128)),
            "even_bits": draw.choice((20, 22, 23)),
            "adaptive": draw.random() < 0.4,
            "packing": draw.random() < 0.4,
        }


def held_out_machines() -> list[MachineConfig]:
    """Return the machines on which the error of the estimate is measured.

    They were drawn before anything was fitted, and none of them is one of those. Kinds take turns,
    so that there are some of each.
    """
    kinds = tuple(ArrayKind)
    fitted = {machine.fingerprint for machine in fitted_machines()}
    found: list[MachineConfig] = []
    for shape in _drawn():
        number = len(found)
        shape["array"] = kinds[number % len(kinds)]
        if number % 4 == 1:
            shape |= {"requantizer": RequantizerKind.HALF_OCTAVE, "adaptive": False}
        try:
            machine = MachineConfig(name=f"held-{number}", **shape)
        except ValueError:
            continue
        if machine.macs_per_cycle <= _MOST_MACS and machine.fingerprint not in fitted:
            found.append(machine)
        if len(found) == HELD_OUT:
            return found
    raise AssertionError("shapes are drawn without end")


def _parameters(machine: MachineConfig) -> dict[str, Any]:
    return {each.name: getattr(machine, each.name) for each in fields(machine)}


def _figures(area: Area) -> list[float]:
    assert not area.spram  # there is none on ECP5
    return [area.sites, area.ff, area.bram, area.dsp]


def _fit_row(machine: MachineConfig, build: Path) -> dict[str, Any]:
    """Return the row of a machine whose blocks are mapped one by one."""
    default = MachineConfig.instruction_words
    alike = machine.parameter_words == _SHALLOW and machine.instruction_words == default
    modules = {
        block.path: _figures(map_block(block, build, lambda _: None))
        for block in machine_blocks(machine)
        if not (alike and block.path in _ALIKE)
    }
    return {"machine": _parameters(machine), "modules": modules}


def _held_out_row(machine: MachineConfig, build: Path) -> dict[str, Any]:
    """Return the row of a whole machine: its blocks, without the tools' serial port."""
    host = SerialHost(machine)
    mapped = map_component(host, machine.name, _DEVICE, build=build, watch=lambda _: None)
    blocks = {name: _figures(area) for name, area in mapped.blocks.items() if name != WRAPPER}
    return {"machine": _parameters(machine), "blocks": blocks}


def _write(path: Path, content: dict[str, Any]) -> None:
    """Write the file, a line for each machine."""
    parts = []
    for name, value in content.items():
        text = json.dumps(value)
        if isinstance(value, list):
            text = "[\n" + ",\n".join(json.dumps(row) for row in value) + "\n]"
        parts.append(f"{json.dumps(name)}: {text}")
    write_atomically(path, ("{\n" + ",\n".join(parts) + "\n}\n").encode())


def main(arguments: Sequence[str] | None = None) -> int:
    """Map the machines and write their rows."""
    parser = argparse.ArgumentParser(prog="area_sweep", description=__doc__)
    parser.add_argument("--table", type=Path, default=Path("sw/tritone/estimate/area_ecp5.json"))
    parser.add_argument("--build", type=Path, default=Path("build"))
    parser.add_argument(
        "--only", choices=(_FITTED, _HELD_OUT), help="the other part of the file stays as it is"
    )
    options = parser.parse_args(arguments)
    with exit_on_error(parser):
        _sweep(options.table, options.build, options.only)
    return 0


def _sweep(table: Path, build: Path, only: str | None) -> None:
    """Map the machines of one part of the table, or of both, and write it."""
    tool = YOSYS.version()
    content: dict[str, Any] = {"tool": "", "blocks": {}, _FITTED: [], _HELD_OUT: []}
    if table.is_file():
        content |= json.loads(table.read_text(encoding="utf-8"))
    for part, machines, make in (
        (_FITTED, fitted_machines(), _fit_row),
        (_HELD_OUT, held_out_machines(), _held_out_row),
    ):
        if only not in (None, part):
            continue
        rows = []
        for number, machine in enumerate(machines, 1):
            print(f"{part}: {number} of {len(machines)}", file=sys.stderr, flush=True)
            rows.append(make(machine, build))
        content[part] = rows
    blocks = {path: block_of(path) for path in MODULES}
    _write(table, content | {"tool": tool, "blocks": blocks})


if __name__ == "__main__":
    raise SystemExit(main())
