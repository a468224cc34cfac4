# SPDX-License-Identifier: Apache-2.0
"""Arrays are given weights, and their sums are those of numpy's integers."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
from amaranth.sim import Simulator

from tritone_hw.comparison.arrays import ComparedArray

__all__ = ["COLUMNS", "ROWS", "check_array"]

ROWS, COLUMNS = 8, 4


def run(array: ComparedArray, nibbles: Any, weights: Any, clears: list[int]) -> list[Any]:
    """Return the sums of each step, of all columns, in the cycles in which they must stand there.

    Parameters
    ----------
    nibbles, weights : [step, row], [step, column, row].
    clears : 1 for a step that begins new sums.
    """
    dut = array.make(ROWS, COLUMNS, 1)
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


def expected(
    array: ComparedArray, values: Any, of_step: int, nibbles: Any, weights: Any, clears: list[int]
) -> list[Any]:
    """Return the sums by numpy's integers; ``values`` has value and constant of each code."""
    bits = array.even_bits
    products = (values[weights, 0] * nibbles[:, None, :] + values[weights, 1]).sum(axis=2)
    sums, total = [], np.zeros(COLUMNS, dtype=np.int64)
    for each, clear in zip(products + of_step, clears, strict=True):
        total = each + (0 if clear else total)
        sums.append([int(value) % (1 << bits) for value in total])
    return sums


def check_array(
    array: ComparedArray, weight: Callable[[int], tuple[int, int]], nought: int, of_step: int = 0
) -> None:
    """Compare every weight with every activation alone, then random steps.

    Parameters
    ----------
    array : which array; its sums wrap at its ``even_bits``.
    weight : what a code multiplies by, and the constant that it leaves in a sum.
    nought : a code that does neither.
    of_step : the constant that a step leaves.
    """
    values = np.array([weight(code) for code in range(16)], dtype=np.int64)

    # Every pair in a column among noughts, at every row in turn.
    pairs = [(code, nibble) for code in range(16) for nibble in range(16)]
    nibbles = np.full((len(pairs), ROWS), 9)
    weights = np.full((len(pairs), COLUMNS, ROWS), nought)
    for step, (code, nibble) in enumerate(pairs):
        weights[step, step % COLUMNS, step % ROWS] = code
        nibbles[step, step % ROWS] = nibble
    alone = nibbles, weights, [1] * len(pairs)
    assert run(array, *alone) == expected(array, values, of_step, *alone)

    # Several cleared sums, with a stretch of the largest activation and equal weights.
    rng = np.random.default_rng(7)
    steps = 120
    nibbles = rng.integers(16, size=(steps, ROWS))
    weights = rng.integers(16, size=(steps, COLUMNS, ROWS))
    nibbles[40:60] = 15
    weights[50:60] = weights[50, 0, 0]
    clears = [int(step == 0 or random.Random(step).random() < 0.05) for step in range(steps)]
    assert 1 < sum(clears) < 20
    together = nibbles, weights, clears
    assert run(array, *together) == expected(array, values, of_step, *together)
