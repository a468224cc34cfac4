# SPDX-License-Identifier: Apache-2.0
"""What a part of the machine takes when it is mapped for ECP5 alone."""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from amaranth.lib.wiring import Component

from tritone_hw.emit import convert
from tritone_hw.synthesis.blocks import cells
from tritone_hw.synthesis.script import STATISTICS
from tritone_hw.synthesis.tools import YOSYS, exit_on_error, log_tail, run_tool

__all__ = ["part_cells", "print_table"]

_TOP = "part"


def part_cells(part: Component, *, dsp: bool = True) -> Counter[str]:
    """Return the ECP5 cells of a component by their type.

    Parameters
    ----------
    part : not elaborated yet.
    dsp : products may take DSP blocks.

    Raises
    ------
    FileNotFoundError : yosys is not installed.
    RuntimeError : it failed.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "part.v").write_text(convert(part, _TOP), encoding="utf-8")
        script = (
            "read_verilog part.v\n"
            f"synth_ecp5 -top {_TOP} {'' if dsp else '-nodsp'}\n"
            f"tee -q -o {STATISTICS} stat -json\n"
        )
        (folder / "part.ys").write_text(script, encoding="utf-8")
        log = folder / "log"
        if run_tool(YOSYS, ["-s", "part.ys"], folder, log, lambda line: None):
            raise RuntimeError(f"Yosys failed: {log_tail(log)}")
        return cells(json.loads((folder / STATISTICS).read_text(encoding="utf-8")), _TOP)


def print_table(
    name: str,
    description: str | None,
    head: Sequence[str],
    rows: Iterable[str],
    arguments: Sequence[str] | None,
) -> None:
    """Print a table of parts in Markdown, each row as soon as it is mapped.

    Parameters
    ----------
    name, description : of the command that prints it, whose only option is --help.
    head : of the columns.
    rows : made one after the other, by ``part_cells``.
    arguments : of the command; None: those of the process.
    """
    parser = argparse.ArgumentParser(prog=name, description=description)
    parser.parse_args(arguments)
    with exit_on_error(parser):
        YOSYS.version()  # before a table that ends at its head
        print("| " + " | ".join(head) + " |")
        print("|---" * len(head) + "|")
        for row in rows:
            print(row, flush=True)
