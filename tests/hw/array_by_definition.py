# SPDX-License-Identifier: Apache-2.0
"""Steps for an array, and the sums that it must show, written out output by output."""

from __future__ import annotations

import random
from dataclasses import dataclass

from raw_sums import lane, step_excess

from tritone.spec.machine import MachineConfig


@dataclass(frozen=True)
class Step:
    """What the array is given in a cycle; without ``valid`` everything else is noise."""

    valid: bool
    clear: bool
    drain: bool
    nibbles: list[list[int]]
    weights: list[int]


def random_step(
    rng: random.Random, machine: MachineConfig, valid: bool, clear: bool, drain: bool
) -> Step:
    return Step(
        valid=valid,
        clear=clear,
        drain=drain,
        nibbles=[rng.choices(range(16), k=machine.rows) for _ in range(machine.pixels)],
        weights=rng.choices(range(16), k=machine.rows * machine.columns),
    )


def tile(rng: random.Random, machine: MachineConfig, lengths: list[int], gaps: float) -> list[Step]:
    """Return the steps of drains of these lengths, with noise in the gaps."""
    steps = []
    for length in lengths:
        for index in range(length):
            while rng.random() < gaps:
                steps.append(
                    random_step(
                        rng,
                        machine,
                        valid=False,
                        clear=rng.random() < 0.5,
                        drain=rng.random() < 0.5,
                    )
                )
            steps.append(
                random_step(
                    rng,
                    machine,
                    valid=True,
                    clear=index == 0,
                    drain=index == length - 1,
                )
            )
    return steps


Sums = list[list[int]]


def expected_drains(machine: MachineConfig, steps: list[Step]) -> list[tuple[int, Sums, Sums]]:
    """Return (cycle of the draining step, even sums, odd sums) of each drain."""
    drains = []
    even: Sums = []
    odd: Sums = []
    for cycle, step in enumerate(steps):
        if not step.valid:
            continue
        if step.clear:
            even = [[0] * machine.columns for _ in range(machine.pixels)]
            odd = [[0] * machine.columns for _ in range(machine.pixels)]
        for pixel in range(machine.pixels):
            for column in range(machine.columns):
                for row in range(machine.rows):
                    code, nibble = (
                        step.weights[column * machine.rows + row],
                        step.nibbles[pixel][row],
                    )
                    more = lane(machine.array, code, nibble)
                    even[pixel][column] += more[0]
                    odd[pixel][column] += more[1]
                even[pixel][column] += step_excess(machine)
        if step.drain:
            drains.append((cycle, [list(row) for row in even], [list(row) for row in odd]))
    return drains
