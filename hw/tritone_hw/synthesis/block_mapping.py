# SPDX-License-Identifier: Apache-2.0
"""Blocks of a machine mapped one by one, each as often as there are different ones.

Blocks keep their boundaries when a whole machine is mapped (``script``), so what a block takes
depends on its own text alone. Cut out of the machine's Verilog and mapped alone it takes what it
takes there, and machines that share a block share its mapping.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tritone.spec.area import Area
from tritone.spec.device import Family
from tritone.spec.machine import MachineConfig
from tritone_hw.emit import convert
from tritone_hw.platform.serial_host import SerialHost
from tritone_hw.platform.target import Target
from tritone_hw.synthesis.blocks import ACCELERATOR, block_modules, own_area
from tritone_hw.synthesis.mapping import VERILOG, run_mapping
from tritone_hw.synthesis.script import STATISTICS, yosys_script

__all__ = ["Block", "cut_blocks", "machine_blocks", "map_block"]

_TOP = "top"
_MODULE = re.compile(r"^(?:\(\*.*\*\)\n)*module \\?([\w.$]+)[ (].*?^endmodule\n", re.M | re.S)
_PORT = re.compile(r"^  (?:input|output) .*\n", re.M)
# Amaranth numbers names that would be equal, all over the machine.
_NUMBER = re.compile(r"\$(\d+)")


@dataclass(frozen=True, kw_only=True)
class Block:
    """A block cut out of a machine.

    Parameters
    ----------
    path : within the accelerator, such as ``engine.array``.
    module : its module.
    verilog : the text, blocks within it as empty boxes.
    apart : the modules of these.
    """

    path: str
    module: str
    verilog: str
    apart: tuple[str, ...]

    @property
    def digest(self) -> str:
        """What is equal for blocks of the same text."""
        return hashlib.sha256(self.verilog.encode()).hexdigest()[:16]


def machine_blocks(machine: MachineConfig) -> list[Block]:
    """Return the blocks of a machine in the cells of ECP5, as ``tritone synth`` maps them."""
    verilog = convert(SerialHost(machine), _TOP, Target.ECP5)
    return cut_blocks(verilog, f"{_TOP}.{ACCELERATOR}")


def cut_blocks(verilog: str, accelerator: str) -> list[Block]:
    """Return the blocks of an accelerator, without the one around them that only connects.

    Numbers in names are counted anew in each, so that equal blocks have equal texts.

    Parameters
    ----------
    verilog : the text of the design.
    accelerator : path of the accelerator in it, from the top module on.
    """
    texts = {found[1]: found[0] for found in _MODULE.finditer(verilog)}
    modules = [name for name in block_modules(verilog, accelerator) if name != accelerator]
    blocks = []
    for module in modules:
        inner = [each for each in modules if each.startswith(f"{module}.")]
        held = [
            text
            for name, text in texts.items()
            if _within(name, module) and not any(_within(name, each) for each in inner)
        ]
        boxes = [_box(texts[each]) for each in inner]
        numbers: dict[str, int] = {}
        text = _NUMBER.sub(
            lambda found, numbers=numbers: f"${numbers.setdefault(found[1], len(numbers))}",
            "".join(held + boxes),
        )
        path = module.removeprefix(f"{accelerator}.")
        blocks.append(Block(path=path, module=module, verilog=text, apart=tuple(inner)))
    return blocks


def _within(name: str, module: str) -> bool:
    return name == module or name.startswith(f"{module}.")


def _box(text: str) -> str:
    """Return a module without what is in it."""
    head = text[text.index("module ") : text.index(");\n") + 3]
    return f"(* blackbox *)\n{head}{''.join(_PORT.findall(text))}endmodule\n"


def map_block(block: Block, build: Path, watch: Callable[[str], None]) -> Area:
    """Return what a block takes of ECP5; what is kept in ``build`` is not mapped again.

    Raises
    ------
    FileNotFoundError : yosys is not installed.
    RuntimeError : it failed.
    """
    script = yosys_script(Family.ECP5, VERILOG, block.module, [block.module])
    cache = build / "synth" / "blocks"
    folder, _ = run_mapping(Family.ECP5, cache, block.path, block.verilog, script, watch)
    statistics = json.loads((folder / STATISTICS).read_text())
    return own_area(Family.ECP5, statistics, block.module, block.apart)
