# SPDX-License-Identifier: Apache-2.0
"""The driver as one file stands alone; tests/host/test_driver.py runs the Verilog with it."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tritone.spec.machine import preset
from tritone.spec.program import Program
from tritone_hw.ip.pynq_driver import pynq_driver

# Told by the file about a program: its machine, and what is wrong with half of it.
SCRIPT = """
import sys
from tritone_pynq import REGISTERS, Program, register
path = sys.argv[1]
program = Program.load(path)
print(program.machine.name, f"{program.machine.fingerprint:016x}", program.instructions)
print(program.payload.hex(), program.metadata["result"]["bytes"])
print(len(REGISTERS), register("write_beats").address)
try:
    with open(path, "rb") as file:
        Program.from_bytes(file.read()[:-1])
except ValueError as error:
    print(error)
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Path of the file, in a folder of its own."""
    path = tmp_path / "tritone_pynq.py"
    path.write_text(pynq_driver())
    return path


def test_it_stands_alone(file: Path) -> None:
    """Without any package it reads a program as ``tritone.spec`` does."""
    program = Program(
        machine=preset("tiny-p2"),
        instructions=2,
        payload=bytes(range(128)),
        metadata={"image": {"bytes": 8}, "result": {"bytes": 24}},
    )
    path = file.with_name("program.bin")
    program.save(path)
    size = path.stat().st_size
    # No packages (-S), no variables of the environment (-E).
    done = subprocess.run(
        [sys.executable, "-E", "-S", "-W", "error", "-c", SCRIPT, path],
        cwd=file.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        f"tiny-p2 {preset('tiny-p2').fingerprint:016x} 2",
        f"{bytes(range(128)).hex()} 24",
        "20 76",
        f"Program must be {size} bytes long as its header says, not {size - 1}",
    ]


def test_old_python(file: Path) -> None:
    """It keeps to the grammar of Python 3.8, and joins no mappings by an operator of 3.9."""
    tree = ast.parse(file.read_text(), feature_version=(3, 8))
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert "collections.abc" in modules
    joined = [node for node in ast.walk(tree) if isinstance(node, ast.BinOp)]
    left = {ast.unparse(each) for each in joined if isinstance(each.op, ast.BitOr)}
    # Of integers.
    assert left == {"self.read(f'{name}_low') | self.read(f'{name}_high') << 32"}
