# SPDX-License-Identifier: Apache-2.0
"""The arrays of the comparison against products of integers."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from amaranth.sim import Simulator

from tritone_hw.comparison.arrays import ARRAYS

ROWS, COLUMNS = 8, 4
HALVES = (0, 1, 2, 3, 4, 6, 8, 12)


def weight(array: str, code: int) -> tuple[int, int]:
    """Return what a code multiplies by, and what is too much where the code is negative."""
    sign, magnitude = code >> 3, code & 7
    if array.startswith("uniform"):
        return code - 16 * sign, 0
    if array == "fp4-plane":
        return (-1) ** sign * HALVES[magnitude], sign * 15 * HALVES[magnitude]
    if array == "pot":
        return (0, 0) if magnitude == 7 else ((-1) ** sign * 2**magnitude, sign * 1023)
    # Term codes {sign, odd, shift}, of which one rail adds the even ones.
    return (0, 0) if magnitude >= 4 else ((-1) ** sign * 2**magnitude, sign * 127)


def of_step(array: str) -> int:
    """Return what each step has too much: 8 times 127, the largest 7-bit sum of 8 rows."""
    return 8 * 127 if array == "uniform-plane" else 0


def run(array: str, nibbles: Any, weights: Any, clears: list[int]) -> list[Any]:
    """Return the sums of each step, of all columns, in the cycles in which they must stand there.

    Parameters
    ----------
    nibbles, weights : [step, row], [step, column, row].
    clears : 1 for a step that begins new sums.
    """
    dut = ARRAYS[array].make(ROWS, COLUMNS, 1)
    steps = len(nibbles)
    found: list[Any] = []

    async def bench(ctx: Any) -> None:
        for cycle in range(steps + dut.latency):
            ctx.set(dut.valid, cycle < steps)
            ctx.set(dut.drain, 1)
            if cycle < steps:
                ctx.set(dut.clear, clears[cycle])
                ctx.set(dut.nibbles, [[int(each) for each in nibbles[cycle]]])
            if 0 <= (late := cycle - dut.WEIGHTS_AFTER) < steps:
                word = sum(int(each) << 4 * n for n, each in enumerate(weights[late].ravel()))
                ctx.set(dut.weights.as_value(), word)
            assert ctx.get(dut.drained) == (cycle >= dut.latency)
            if ctx.get(dut.drained):
                found.append([ctx.get(dut.even[0][column]) for column in range(COLUMNS)])
            await ctx.tick()
        found.append([ctx.get(dut.even[0][column]) for column in range(COLUMNS)])

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return found[:steps]


def expected(array: str, nibbles: Any, weights: Any, clears: list[int]) -> list[Any]:
    """Return the sums by numpy's integers."""
    bits = ARRAYS[array].even_bits
    values = np.array([weight(array, code) for code in range(16)], dtype=np.int64)
    products = (values[weights, 0] * nibbles[:, None, :] + values[weights, 1]).sum(axis=2)
    sums, total = [], np.zeros(COLUMNS, dtype=np.int64)
    for each, clear in zip(products + of_step(array), clears, strict=True):
        total = each + (0 if clear else total)
        sums.append([int(value) % (1 << bits) for value in total])
    return sums


MEASURED = sorted(set(ARRAYS) - {"post"})


@pytest.mark.parametrize("array", MEASURED)
def test_every_weight_and_activation(array: str) -> None:
    """Alone in its column among noughts, at every row in turn."""
    nought = {"pot": 7, "pot-2-pass": 7}.get(array, 0)
    pairs = [(code, nibble) for code in range(16) for nibble in range(16)]
    nibbles = np.full((len(pairs), ROWS), 9)
    weights = np.full((len(pairs), COLUMNS, ROWS), nought)
    for step, (code, nibble) in enumerate(pairs):
        weights[step, step % COLUMNS, step % ROWS] = code
        nibbles[step, step % ROWS] = nibble
    clears = [1] * len(pairs)
    assert run(array, nibbles, weights, clears) == expected(array, nibbles, weights, clears)


@pytest.mark.parametrize("array", MEASURED)
def test_sums_of_many_steps(array: str) -> None:
    """Random steps, some of extremes, over several cleared sums."""
    rng = np.random.default_rng(7)
    steps = 120
    nibbles = rng.integers(16, size=(steps, ROWS))
    weights = rng.integers(16, size=(steps, COLUMNS, ROWS))
    nibbles[40:60] = 15
    weights[50:60] = weights[50, 0, 0]
    clears = [int(step == 0 or random.Random(step).random() < 0.05) for step in range(steps)]
    assert run(array, nibbles, weights, clears) == expected(array, nibbles, weights, clears)


def test_other_shapes_are_refused() -> None:
    """What a machine cannot have, an array to compare it with cannot either."""
    with pytest.raises(ValueError, match=r"^rows must be a power of two in 8\.\.64, not 12$"):
        ARRAYS["uniform-plane"].make(12, 8, 1)
