# SPDX-License-Identifier: Apache-2.0
"""The array against sums written out output by output."""

from __future__ import annotations

import random

import pytest
from amaranth.sim import Simulator
from array_by_definition import Step, Sums, expected_drains, tile

from tritone.spec.machine import MachineConfig, preset
from tritone_hw.array import Array


def simulate(machine: MachineConfig, steps: list[Step]) -> tuple[int, list[tuple[int, Sums, Sums]]]:
    """Return the latency, and (cycle of the strobe, even, odd) of each drain."""
    dut = Array(machine)
    drains = []

    def unpack(word: int, bits: int) -> Sums:
        return [
            [
                word >> (pixel * machine.columns + column) * bits & ((1 << bits) - 1)
                for column in range(machine.columns)
            ]
            for pixel in range(machine.pixels)
        ]

    async def bench(ctx) -> None:
        for cycle in range(len(steps) + dut.latency + 2):
            if cycle < len(steps):
                step = steps[cycle]
                ctx.set(dut.valid, step.valid)
                ctx.set(dut.clear, step.clear)
                ctx.set(dut.drain, step.drain)
                ctx.set(dut.nibbles, step.nibbles)
            else:
                ctx.set(dut.valid, 0)
            if dut.WEIGHTS_AFTER <= cycle < len(steps) + dut.WEIGHTS_AFTER:
                weights = steps[cycle - dut.WEIGHTS_AFTER].weights
                word = sum(term << 4 * index for index, term in enumerate(weights))
                ctx.set(dut.weights.as_value(), word)
            if ctx.get(dut.drained):
                drains.append(
                    (
                        cycle,
                        unpack(ctx.get(dut.even.as_value()), machine.even_bits),
                        unpack(ctx.get(dut.odd.as_value()), machine.odd_bits),
                    )
                )
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return dut.latency, drains


@pytest.mark.parametrize(
    ("machine", "lengths", "gaps"),
    [
        # Drains of one step, back to back.
        (preset("tiny"), [1] * 12, 0.0),
        # Longer sums, steps missing at random.
        (preset("tiny"), [3, 1, 2, 7, 1, 4], 0.4),
        # One rail: powers of two, integers.
        (preset("tiny_pot"), [2, 1, 5], 0.2),
        (preset("tiny_uniform"), [2, 1, 5], 0.2),
        # Two pixels must share weights but not activations.
        (preset("tiny-p2"), [2, 1, 3], 0.2),
        # Fewer columns than rows.
        (
            MachineConfig(name="narrow", rows=16, columns=4, pixels=1, requantizer_slots=4),
            [2, 1, 2],
            0.2,
        ),
    ],
    ids=["back-to-back", "gaps", "powers", "integers", "two-pixels", "narrow"],
)
def test_drains(machine: MachineConfig, lengths: list[int], gaps: float) -> None:
    """Each drain shows its sums exactly ``latency`` cycles after its last step, and at no other."""
    steps = tile(random.Random(len(lengths)), machine, lengths, gaps)
    latency, drains = simulate(machine, steps)
    expected = expected_drains(machine, steps)
    assert len(expected) == len(lengths)
    assert drains == [(cycle + latency, even, odd) for cycle, even, odd in expected]


def test_refuses_other_machines() -> None:
    """The shape is a MachineConfig."""
    with pytest.raises(TypeError, match=r"^Machine must be a MachineConfig, not 'tiny'$"):
        Array("tiny")
