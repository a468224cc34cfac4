# SPDX-License-Identifier: Apache-2.0
"""The requantiser against the formula of docs/numerics.md in plain integers."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

import pytest
from amaranth.sim import Simulator

from tritone.spec.isa import parameter_record
from tritone.spec.machine import MachineConfig, RequantizerKind
from tritone_hw.requantizer import Requantizer

EVEN_BITS, ODD_BITS = 20, 19
TAG_BITS = 9
MACHINES = [
    # slots of one channel; the fewest slots; two channels a slot; two pixels.
    MachineConfig(name="slots8", rows=8, columns=8, pixels=1, requantizer_slots=8),
    MachineConfig(name="slots4", rows=8, columns=4, pixels=1, requantizer_slots=4),
    MachineConfig(name="pairs", rows=8, columns=8, pixels=1, requantizer_slots=4),
    MachineConfig(name="pixels", rows=8, columns=8, pixels=2, requantizer_slots=4),
    MachineConfig(name="adaptive8", rows=8, columns=8, pixels=1, adaptive=True),
    MachineConfig(name="adaptive", rows=8, columns=8, pixels=2, requantizer_slots=4, adaptive=True),
]


@dataclass(frozen=True, kw_only=True)
class Drain:
    """One load: accumulators [pixel][column] and what goes with them, after ``wait`` cycles."""

    even: list[list[int]]
    odd: list[list[int]]
    shortcut: list[list[int]]
    shift: int
    first: bool
    last: bool
    base: int
    tag: int
    wait: int


@dataclass(frozen=True, kw_only=True)
class Layer:
    """What does not change under way, and the parameter records by word and channel of the word."""

    shift: int
    low: int
    high: int
    factor: int
    shortcut_shift: int
    scale: int  # beta in 1/1024
    parameters: list[list[dict[str, int]]]


def wrap(value: int, bits: int) -> int:
    """Return ``value`` modulo 2**bits, as a signed number."""
    return (value + 2 ** (bits - 1)) % 2**bits - 2 ** (bits - 1)


def expected_results(
    machine: MachineConfig, layer: Layer, drains: list[Drain]
) -> list[tuple[int, list[list[int]]]]:
    """Return (tag, codes [pixel][column]) of each last drain."""
    answers = []
    values: dict[tuple[int, int], int] = {}
    per_word = machine.columns // machine.requantizer_slots
    for drain in drains:
        codes = [[0] * machine.columns for _ in range(machine.pixels)]
        for pixel in range(machine.pixels):
            for column in range(machine.columns):
                word, place = drain.base + column // per_word, column % per_word
                parameter = layer.parameters[word][place]
                start = parameter["bias"] if drain.first else values[pixel, column]
                even, odd = drain.even[pixel][column], drain.odd[pixel][column]
                turned = parameter.get("turned", 0)
                more = 181 * even + 256 * odd if turned else 128 * even + 181 * odd
                value = wrap(start + more * 16**drain.shift, 36)
                values[pixel, column] = value
                shortcut = drain.shortcut[pixel][column] * 2**layer.shortcut_shift
                if "multiplier" in parameter:
                    multiplier = (parameter["multiplier"] * layer.scale + 512) // 1024
                    scaled = value * multiplier + parameter["offset"]
                    scaled += shortcut * layer.factor
                else:
                    scaled = (value + parameter["offset"]) // 2 ** parameter["shift"] + shortcut
                codes[pixel][column] = min(max(scaled // 2**layer.shift, layer.low), layer.high)
        if drain.last:
            answers.append((drain.tag, codes))
    return answers


def run(machine: MachineConfig, layer: Layer, drains: list[Drain]) -> None:
    """Load all drains and compare every answer and the cycle in which it comes."""
    dut = Requantizer(machine, TAG_BITS)
    words = [
        sum(
            parameter_record(machine).pack(record) << 128 * place
            for place, record in enumerate(records)
        )
        for records in layer.parameters
    ]
    got: list[tuple[int, int, list[list[int]]]] = []
    due = []
    added = {}  # cycle: shortcut

    async def bench(ctx) -> None:
        cycle = 0

        async def tick() -> None:
            nonlocal cycle
            if ctx.get(dut.valid):
                word = ctx.get(dut.results.as_value())
                codes = [
                    [
                        wrap(word >> 16 * (pixel * machine.columns + column), 16)
                        for column in range(machine.columns)
                    ]
                    for pixel in range(machine.pixels)
                ]
                got.append((cycle, ctx.get(dut.tag_out), codes))
            address = ctx.get(dut.parameter_address)
            await ctx.tick()
            cycle += 1
            ctx.set(dut.parameter.as_value(), words[address % len(words)])
            if cycle in added:
                ctx.set(dut.shortcut, added.pop(cycle))

        ctx.set(dut.shift, layer.shift)
        ctx.set(dut.low, layer.low)
        ctx.set(dut.high, layer.high)
        ctx.set(dut.shortcut_multiplier, layer.factor)
        ctx.set(dut.shortcut_shift, layer.shortcut_shift)
        if machine.adaptive:
            ctx.set(dut.scale, layer.scale)
        noise = random.Random(len(drains))
        for drain in drains:
            for _ in range(drain.wait):
                await tick()
            ctx.set(dut.load, 1)
            ctx.set(dut.even, drain.even)
            ctx.set(dut.odd, drain.odd)
            ctx.set(dut.drain_shift, drain.shift)
            ctx.set(dut.first, drain.first)
            ctx.set(dut.last, drain.last)
            ctx.set(dut.parameter_base, drain.base)
            ctx.set(dut.tag, drain.tag)
            if drain.last:
                due.append(cycle + dut.latency)
                added[cycle + dut.shortcut_at] = drain.shortcut
            await tick()
            ctx.set(dut.load, 0)
            # Everything is sampled with the strobe: what follows must not matter.
            for port in (dut.drain_shift, dut.first, dut.last, dut.parameter_base, dut.tag):
                ctx.set(port, noise.getrandbits(len(port)))
            for port in (dut.even, dut.odd):
                ctx.set(port.as_value(), noise.getrandbits(len(port.as_value())))
            for _ in range(machine.requantizer_slots - 1):
                await tick()
        for _ in range(dut.latency + 2):
            await tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    answers = expected_results(machine, layer, drains)
    assert got == [(cycle, *answer) for cycle, answer in zip(due, answers, strict=True)]


def extreme(rng: random.Random, low: int, high: int) -> int:
    """Return a number of the range: one of its ends, or of any magnitude."""
    choice = rng.randrange(4)
    if choice == 0:
        return rng.choice((low, high))
    if choice == 1:
        return rng.randint(low, high)
    return min(max(rng.randint(-1, 1) * rng.getrandbits(rng.randrange(1, 48)), low), high)


def random_drains(
    rng: random.Random, machine: MachineConfig, groups: list[int], words: int, gaps: bool
) -> list[Drain]:
    """Return tiles of that many drains each."""
    drains = []
    for group in groups:
        base = rng.randrange(words - machine.requantizer_slots + 1)
        for index in range(group):

            def sums(bits: int) -> list[list[int]]:
                return [
                    [extreme(rng, 0, 2**bits - 1) for _ in range(machine.columns)]
                    for _ in range(machine.pixels)
                ]

            drains.append(
                Drain(
                    even=sums(EVEN_BITS),
                    odd=sums(ODD_BITS),
                    shortcut=[
                        [extreme(rng, -255, 255) for _ in range(machine.columns)]
                        for _ in range(machine.pixels)
                    ],
                    shift=rng.randrange(4),
                    first=index == 0,
                    last=index == group - 1,
                    base=base,
                    tag=rng.getrandbits(TAG_BITS),
                    wait=rng.choice((0, 0, 1, 5, 30)) if gaps else 0,
                )
            )
    return drains


def random_parameter(rng: random.Random, machine: MachineConfig, largest: int) -> dict[str, int]:
    record = {
        "bias": extreme(rng, -(2**39), 2**39 - 1),
        "offset": extreme(rng, -(2**47), 2**47 - 1),
    }
    if machine.requantizer is RequantizerKind.MULTIPLIER:
        return record | {"multiplier": extreme(rng, -1 - largest, largest)}
    return record | {
        "turned": rng.randrange(2),
        "shift": rng.randrange(41),
    }


def random_layer(rng: random.Random, machine: MachineConfig, shift: int, words: int) -> Layer:
    low, high = sorted((extreme(rng, -(2**15), 2**15 - 1), extreme(rng, -(2**15), 2**15 - 1)))
    scale = rng.choice((512, 1024, 2048, rng.randint(512, 2048))) if machine.adaptive else 1024
    # M has 16 bits, and half of their range where beta may double it.
    largest = 2**15 - 1 if scale == 1024 else 2**14 - 1
    half = machine.requantizer is RequantizerKind.HALF_OCTAVE
    return Layer(
        shift=shift % 8 if half else shift,
        low=low,
        high=high,
        factor=extreme(rng, -(2**15), 2**15 - 1),
        shortcut_shift=rng.randrange(8 if half else 32),
        scale=scale,
        parameters=[
            [random_parameter(rng, machine, largest) for _ in range(machine.slot_channels)]
            for _ in range(words)
        ],
    )


KINDS = [
    pytest.param(replace(machine, requantizer=kind), id=f"{machine.name}-{kind}")
    for machine in MACHINES
    for kind in RequantizerKind
    if kind is RequantizerKind.MULTIPLIER or not machine.adaptive
]


@pytest.mark.parametrize("gaps", [False, True], ids=["back-to-back", "gaps"])
@pytest.mark.parametrize("machine", KINDS)
def test_random_layers(machine: MachineConfig, gaps: bool) -> None:
    """For any parameters and grouping of drains, every code and its cycle follow the formula."""
    for seed, shift in enumerate((0, 1, 7, 8, 13, 24, 33, 39, 40)):
        rng = random.Random(f"{machine.name} {gaps} {seed}")
        layer = random_layer(rng, machine, shift, 40)
        run(machine, layer, random_drains(rng, machine, [1, 3, 2, 1, 1, 4, 2], 40, gaps))


def test_static_machines_do_not_scale() -> None:
    """Only an adaptive machine has a port for beta."""
    assert [hasattr(Requantizer(machine, 1), "scale") for machine in MACHINES] == [
        machine.name.startswith("adaptive") for machine in MACHINES
    ]


def test_refuses_other_machines() -> None:
    """The shape is a MachineConfig."""
    with pytest.raises(TypeError, match=r"^Machine must be a MachineConfig, not 'tiny'$"):
        Requantizer("tiny", 1)
