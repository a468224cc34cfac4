# SPDX-License-Identifier: Apache-2.0
"""The walks of every codebook, driven lane by lane, give the layer's sum and never overflow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tritone.compiler.fold import fold
from tritone.compiler.passes import plan_passes
from tritone.graph import Network, PoolKind
from tritone.spec.catalog import CATALOG, codebook
from tritone.spec.isa import PASS_STEP
from tritone.spec.machine import preset

TINY = preset("tiny")


def _lane(nibble: int, term: int) -> tuple[int, int]:
    """Even and odd bits that a lane hands to its adder trees."""
    sign, odd, shift = term >> 3, term >> 2 & 1, term & 3
    shifted = nibble << shift
    if odd:
        return 0, 0 if shift == 3 else shifted ^ (0b111111 if sign else 0)
    return shifted ^ (0b1111111 if sign else 0), 0


@pytest.mark.parametrize("bits", [1, 3, 4, 5, 8])
@pytest.mark.parametrize("name", sorted(name for name, book in CATALOG.items() if book.runs))
def test_walks_and_bias_give_the_sum(
    name: str, bits: int, spec: Any, random_network: Callable[..., Network]
) -> None:
    """B + sum over drains of (128 E + 181 O) << 4 shift = sum scaled * (a - z_a)."""
    layer = spec(out=3, kernel=(2, 2), codebook=name, bits=bits)
    (folded,) = fold(random_network((5, 2, 2), [layer], seed=bits, zero=128))
    schedule = plan_passes(folded, TINY)
    plan, book = codebook(name).plan, codebook(name)
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
                lane = _lane(int(a) >> (4 * step["nibble"]) & 15, control)
                raw = [total + part for total, part in zip(raw, lane, strict=True)]
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


def _worst(folded: Any, steps: Any, channel: int) -> list[tuple[int, int]]:
    """The largest accumulators that activations can give, for each drain, by trial."""
    plan, largest = folded.weights.book.plan, (1 << folded.bits) - 1
    drains, held = [], [0, 0]
    for step in steps:
        each = plan.passes[step["plane"]]
        most = min(15, largest >> (4 * step["nibble"]))
        for code in folded.weights.codes[channel].flat:
            control = each.table[plan.nibbles[code][each.plane]]
            lanes = [_lane(n, control) for n in range(most + 1)]
            held = [total + max(lane[rail] for lane in lanes) for rail, total in enumerate(held)]
        if step["drain"]:
            drains.append((held[0], held[1]))
            held = [0, 0]
    return drains


@pytest.mark.parametrize("name", ["int8", "post5", "int6", "fp4_e2m1", "pot4"])
@pytest.mark.parametrize("bits", [4, 8])
def test_drains_hold_the_worst_case(
    name: str, bits: int, spec: Any, random_network: Callable[..., Network]
) -> None:
    """At every width that one walk fits, every drain fits; wider accumulators drain less."""
    layer = spec(out=2, kernel=(3, 3), codebook=name, bits=bits)
    (folded,) = fold(random_network((7, 3, 3), [layer]))
    counts = []
    for even_bits in (13, 14, 15, 20):
        machine = replace(TINY, even_bits=even_bits, odd_bits=even_bits - 1)
        schedule = plan_passes(folded, machine)
        for channel in range(2):
            for even, odd in _worst(folded, schedule.steps, channel):
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
        each.table[codebook("int4").plan.nibbles[9][0]] for each in codebook("int4").plan.passes
    ]
    bounds = [max(_lane(n, term)[0] for n in range(16)) * 63 for term in terms]
    drains = {}
    for even_bits in (13, 14):
        machine = replace(TINY, even_bits=even_bits, odd_bits=even_bits - 1)
        drains[even_bits] = plan_passes(folded, machine).drains
    assert 1 << 13 <= sum(bounds) < 1 << 14
    assert drains == {13: 2, 14: 1}


def test_a_walk_that_overflows_alone_is_refused(
    spec: Any, random_network: Callable[..., Network]
) -> None:
    """65 lanes of -1 can reach 65 * 127 = 8255 in 13 bits; so can 17 codes of 255 in 12."""
    layer = spec(out=1, kernel=(1, 1), codebook="binary", bits=4)
    network = random_network((65, 1, 1), [layer])
    network.nodes[0].codes[...] = 1
    machine = replace(TINY, even_bits=13, odd_bits=12)
    with pytest.raises(
        ValueError,
        match=r"^Layer layer0 must fit one walk in the even accumulators, 8191, not 8255$",
    ):
        plan_passes(fold(network)[0], machine)
    pool = random_network((1, 17, 1), [spec(kind=PoolKind.AVERAGE, kernel=(15, 1))])
    plan_passes(fold(pool)[0], machine)
    pool = random_network((1, 17, 3), [spec(kind=PoolKind.AVERAGE, kernel=(11, 3))])
    with pytest.raises(
        ValueError,
        match=r"^Layer layer0 must fit one walk in the even accumulators, 8191, not 8415$",
    ):
        plan_passes(fold(pool)[0], machine)
    pool = random_network((1, 17, 3), [spec(kind=PoolKind.MAX, kernel=(11, 3))])
    assert plan_passes(fold(pool)[0], machine).drains == 1


@pytest.mark.parametrize(("bits", "fits"), [(1, 511), (2, 170), (4, 34), (5, 34)])
def test_bounds_follow_the_bits(
    bits: int, fits: int, spec: Any, random_network: Callable[..., Network]
) -> None:
    """4095 holds so many lanes of 8 times the largest nibble: 1, 3, or 15."""
    machine = replace(TINY, even_bits=12, odd_bits=11)
    for lanes in (fits, fits + 1):
        layer = spec(out=1, kernel=(1, 1), codebook="post4", bits=bits)
        network = random_network((lanes, 1, 1), [layer])
        network.nodes[0].codes[...] = 3  # +8
        (folded,) = fold(network)
        if lanes == fits:
            assert plan_passes(folded, machine).drains == (1 if bits <= 4 else 2)
            continue
        with pytest.raises(ValueError, match=r"^Layer layer0 must fit one walk in the even"):
            plan_passes(folded, machine)


def test_steps_are_packed_first_lowest(spec: Any, random_network: Callable[..., Network]) -> None:
    """Eight bits a step."""
    (folded,) = fold(random_network((1, 3, 3), [spec(out=1, codebook="int8", bits=8)]))
    schedule = plan_passes(folded, TINY)
    packed = [PASS_STEP.unpack(schedule.packed >> (8 * n) & 255) for n in range(8)]
    assert packed == list(schedule.steps)
