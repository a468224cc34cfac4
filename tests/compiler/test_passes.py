# SPDX-License-Identifier: Apache-2.0
"""The walks of every codebook, driven lane by lane, give the layer's sum and never overflow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tritone.compiler.fold import fold
from tritone.compiler.tile import tile
from tritone.graph import Network, PoolKind
from tritone.spec.catalog import CATALOG, codebook
from tritone.spec.isa import PASS_STEP
from tritone.spec.machine import ArrayKind, MachineConfig, preset

TINY = preset("tiny")
MACHINES = {each.array: each for each in map(preset, ("tiny", "tiny_uniform", "tiny_pot"))}
RUNS = [
    pytest.param(name, array, id=f"{name}-{array}")
    for name, book in sorted(CATALOG.items())
    for array in ArrayKind
    if book.runs(array)
]


def _lane(array: ArrayKind, nibble: int, code: int) -> tuple[int, int]:
    """Even and odd bits that a lane hands to its adder trees."""
    sign, odd, shift = code >> 3, code >> 2 & 1, code & 3
    match array:
        case ArrayKind.UNIFORM:
            return nibble * (code - 16 * sign), 0
        case ArrayKind.POT:
            power = 0 if code & 7 == 7 else (nibble << (code & 7)) ^ (1023 * sign)
            return power, 0
        case ArrayKind.POST:
            shifted = nibble << shift
            if odd:
                return 0, 0 if shift == 3 else shifted ^ (0b111111 if sign else 0)
            return shifted ^ (0b1111111 if sign else 0), 0


# What each step of 8 rows adds besides: the highest bit plane, counting -8, is inverted in the
# 7 bits of a sum of 8 * 15.
OF_STEP = {ArrayKind.POST: 0, ArrayKind.UNIFORM: 8 * 127, ArrayKind.POT: 0}


@pytest.mark.parametrize("bits", [1, 3, 4, 5, 8])
@pytest.mark.parametrize(("name", "array"), RUNS)
def test_walks_and_bias_give_the_sum(
    name: str,
    array: ArrayKind,
    bits: int,
    spec: Any,
    random_network: Callable[..., Network],
) -> None:
    """B + sum over drains of (128 E + 181 O) << 4 shift = sum scaled * (a - z_a)."""
    layer = spec(out=3, kernel=(2, 2), codebook=name, bits=bits)
    (folded,) = fold(random_network((5, 2, 2), [layer], seed=bits, zero=128))
    schedule = tile(folded, MACHINES[array]).schedule
    plan, book = codebook(name).plan(array), codebook(name)
    nibbles = 1 if bits <= 4 else 2
    walked = sorted((step["plane"], step["nibble"]) for step in schedule.steps)
    assert walked == [(p, n) for p in range(len(plan.passes)) for n in range(nibbles)]
    shifts = [step["shift"] for step in schedule.steps]
    assert shifts == sorted(shifts)
    rng = np.random.default_rng(bits)
    activations = rng.integers(0, 1 << bits, (5, 2, 2))
    assert folded.weights is not None
    for channel, codes in enumerate(folded.weights.codes):
        v, raw = int(schedule.bias[channel]), [0, 0]
        for step in schedule.steps:
            each = plan.passes[step["plane"]]
            assert each.shift + 4 * step["nibble"] == 4 * step["shift"]
            for code, a in zip(codes.flat, activations.flat, strict=True):
                control = each.table[plan.nibbles[code][each.plane]]
                lane = _lane(array, int(a) >> (4 * step["nibble"]) & 15, control)
                raw = [total + part for total, part in zip(raw, lane, strict=True)]
            raw[0] += 4 * OF_STEP[array]  # a step for each place of the window
            if step["drain"]:
                v += (128 * raw[0] + 181 * raw[1]) << (4 * step["shift"])
                raw = [0, 0]
        assert raw == [0, 0]
        z_a = 128 >> (8 - bits)
        expected = sum(
            book.level(code).scaled * (int(a) - z_a)
            for code, a in zip(codes.flat, activations.flat, strict=True)
        )
        assert v == expected


def _worst(folded: Any, machine: MachineConfig, steps: Any, channel: int) -> list[tuple[int, int]]:
    """The largest accumulators that activations can give, for each drain, by trial."""
    plan, largest = folded.weights.book.plan(machine.array), (1 << folded.bits) - 1
    height, width = folded.window.kernel
    drains, held = [], [0, 0]
    for step in steps:
        each = plan.passes[step["plane"]]
        most = min(15, largest >> (4 * step["nibble"]))
        for code in folded.weights.codes[channel].flat:
            control = each.table[plan.nibbles[code][each.plane]]
            lanes = [_lane(machine.array, n, control) for n in range(most + 1)]
            held = [total + max(lane[rail] for lane in lanes) for rail, total in enumerate(held)]
        held[0] += height * width * OF_STEP[machine.array]
        if step["drain"]:
            drains.append((held[0], held[1]))
            held = [0, 0]
    return drains


@pytest.mark.parametrize(
    ("name", "array"),
    [
        *((name, ArrayKind.POST) for name in ("int8", "post5", "int6", "fp4_e2m1", "pot4")),
        *((name, ArrayKind.UNIFORM) for name in ("int8", "int4", "fp4_e2m1", "apot4")),
        *((name, ArrayKind.POT) for name in ("int8", "pot4", "odd3")),
    ],
)
@pytest.mark.parametrize("bits", [4, 8])
def test_drains_hold_the_worst_case(
    name: str, array: ArrayKind, bits: int, spec: Any, random_network: Callable[..., Network]
) -> None:
    """At every width that one walk fits, every drain fits; wider accumulators drain less."""
    layer = spec(out=2, kernel=(3, 3), codebook=name, bits=bits)
    (folded,) = fold(random_network((7, 3, 3), [layer]))
    counts = []
    # 63 lanes of 1023 take 16 bits, those of 127 and nine steps of 8 * 127 less than 15.
    for even_bits in (16, 17, 20) if array is ArrayKind.POT else (13, 14, 15, 20):
        if array is ArrayKind.UNIFORM and even_bits == 13:
            continue
        machine = replace(MACHINES[array], even_bits=even_bits)
        schedule = tile(folded, machine).schedule
        for channel in range(2):
            for even, odd in _worst(folded, machine, schedule.steps, channel):
                assert even < 1 << even_bits
                assert odd < 1 << (even_bits - 1)
        counts.append(schedule.drains)
    assert counts == sorted(counts, reverse=True)
    # With room for everything only the total shifts are kept apart.
    assert counts[-1] == len({step["shift"] for step in schedule.steps})


def test_a_full_accumulator_is_drained_earlier(
    spec: Any, random_network: Callable[..., Network]
) -> None:
    """63 lanes of -7 in two passes of equal shift fill 14 bits but not 13."""
    layer = spec(out=1, kernel=(3, 3), codebook="int4", bits=4)
    network = random_network((7, 3, 3), [layer])
    network.nodes[0].codes[...] = 9  # -7 is the sum of two terms, both negative
    (folded,) = fold(network)
    terms = [
        each.table[plan.nibbles[9][0]]
        for plan in [codebook("int4").plan(ArrayKind.POST)]
        for each in plan.passes
    ]
    bounds = [max(_lane(ArrayKind.POST, n, term)[0] for n in range(16)) * 63 for term in terms]
    drains = {}
    for even_bits in (13, 14):
        machine = replace(TINY, even_bits=even_bits)
        drains[even_bits] = tile(folded, machine).schedule.drains
    assert 1 << 13 <= sum(bounds) < 1 << 14
    assert drains == {13: 2, 14: 1}


def test_a_walk_that_overflows_alone_is_refused(
    spec: Any, random_network: Callable[..., Network]
) -> None:
    """65 lanes of -1 can reach 65 * 127 = 8255 in 13 bits; so can 17 codes of 255 in 12."""
    layer = spec(out=1, kernel=(1, 1), codebook="binary", bits=4)
    network = random_network((65, 1, 1), [layer])
    network.nodes[0].codes[...] = 1
    machine = replace(TINY, even_bits=13)
    with pytest.raises(
        ValueError,
        match=r"^Layer layer0 must fit one walk in the even accumulators, 8191, not 8255$",
    ):
        tile(fold(network)[0], machine)
    pool = random_network((1, 17, 1), [spec(kind=PoolKind.AVERAGE, kernel=(15, 1))])
    tile(fold(pool)[0], machine)
    pool = random_network((1, 17, 3), [spec(kind=PoolKind.AVERAGE, kernel=(11, 3))])
    with pytest.raises(
        ValueError,
        match=r"^Layer layer0 must fit one walk in the even accumulators, 8191, not 8415$",
    ):
        tile(fold(pool)[0], machine)
    pool = random_network((1, 17, 3), [spec(kind=PoolKind.MAX, kernel=(11, 3))])
    assert tile(fold(pool)[0], machine).schedule.drains == 1


@pytest.mark.parametrize(("bits", "fits"), [(1, 511), (2, 170), (4, 34), (5, 34)])
def test_bounds_follow_the_bits(
    bits: int, fits: int, spec: Any, random_network: Callable[..., Network]
) -> None:
    """4095 holds so many lanes of 8 times the largest nibble: 1, 3, or 15."""
    machine = replace(TINY, even_bits=12)
    for lanes in (fits, fits + 1):
        layer = spec(out=1, kernel=(1, 1), codebook="post4", bits=bits)
        network = random_network((lanes, 1, 1), [layer])
        network.nodes[0].codes[...] = 3  # +8
        (folded,) = fold(network)
        if lanes == fits:
            assert tile(folded, machine).schedule.drains == (1 if bits <= 4 else 2)
            continue
        with pytest.raises(ValueError, match=r"^Layer layer0 must fit one walk in the even"):
            tile(folded, machine)


def test_steps_are_packed_first_lowest(spec: Any, random_network: Callable[..., Network]) -> None:
    """Eight bits a step."""
    (folded,) = fold(random_network((1, 3, 3), [spec(out=1, codebook="int8", bits=8)]))
    schedule = tile(folded, TINY).schedule
    packed = [PASS_STEP.unpack(schedule.packed >> (8 * n) & 255) for n in range(8)]
    assert packed == list(schedule.steps)


@pytest.mark.parametrize("array", [ArrayKind.POST, ArrayKind.POT])
def test_a_codebook_of_too_many_passes_is_refused(
    array: ArrayKind, spec: Any, random_network: Callable[..., Network]
) -> None:
    """The layer, the codebook, the array and the remedy are named; integers take it."""
    (folded,) = fold(random_network((1, 4, 4), [spec(out=2, codebook="odd8")]))
    message = (
        r"^Layer layer0 must have weights that take at most 4 passes, not those of odd8 on an "
        rf"array {array}; train it with another codebook \(docs/reference\.md lists their passes\)$"
    )
    with pytest.raises(ValueError, match=message):
        tile(folded, MACHINES[array])
    tile(folded, MACHINES[ArrayKind.UNIFORM])


@pytest.mark.parametrize(("array", "other"), [(ArrayKind.UNIFORM, "int4"), (ArrayKind.POT, "pot4")])
def test_sqrt_2_is_refused_without_its_rail(
    array: ArrayKind, other: str, spec: Any, random_network: Callable[..., Network]
) -> None:
    """The layer, the codebook, the array and the remedies are named."""
    (folded,) = fold(random_network((2, 3, 3), [spec(out=3, codebook="post4")]))
    message = (
        rf"^Layer layer0 must have weights without sqrt 2, not those of post4: the array {array} "
        rf"has no rail of it; train it with another codebook, such as {other}, or choose a machine "
        r"with array = post$"
    )
    with pytest.raises(ValueError, match=message):
        tile(folded, MACHINES[array])
