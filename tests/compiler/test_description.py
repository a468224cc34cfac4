# SPDX-License-Identifier: Apache-2.0
"""The predicted cost of a program is what its loops add up to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tritone.compiler import compile_network, describe, predict
from tritone.graph import Network, PoolKind
from tritone.spec.isa import Opcode
from tritone.spec.machine import preset
from tritone.spec.timing import START, flush


def test_costs_are_counted_by_walking(spec: Any, random_network: Callable[..., Network]) -> None:
    """A cycle a step, at least 8 cycles a drain, and the start and end of each layer."""
    network = random_network(
        (9, 5, 5),
        [
            spec(out=12, kernel=(2, 3), pad=(0, 1, 1, 1), codebook="int8", bits=8),
            spec(kind=PoolKind.MAX, kernel=(2, 2), stride=2),
            spec(out=3, kernel=(2, 2), wide=True),
        ],
    )
    machine = preset("tiny-p2")
    program = compile_network(network, machine)
    cost = describe(program)
    # Two output groups, 5 rows of 3 tiles; 8 walks of 2 x 3 taps in 2 channel words.
    tiles, walk = 2 * 5 * 3, 2 * 3 * 2
    first, pool, last = cost.layers
    assert (first.layer, first.kind, first.shape) == ("layer0", Opcode.CONVOLVE, (12, 5, 5))
    assert (first.macs, first.array_cycles) == (12 * 9 * 6 * 25, tiles * 8 * walk)
    steps = tiles * 8 * walk
    assert first.cycles == START + steps + flush(machine, Opcode.CONVOLVE)
    # 2 x 2 outputs in 2 groups: a tile of two pixels a row; 4 taps wait for the 8 slots.
    assert (pool.kind, pool.macs, pool.array_cycles, pool.drains) == (Opcode.POOL, 0, 0, 1)
    assert pool.cycles == START + 2 * 2 * 8 + flush(machine, Opcode.POOL)
    assert (last.drains, last.array_cycles) == (1, 4 * 2)
    assert last.cycles == START + 8 + flush(machine, Opcode.CONVOLVE)
    assert cost.cycles == predict(program, 4).image_cycles()[3]
    assert cost.idle_cycles == cost.cycles - first.cycles - pool.cycles - last.cycles
    assert cost.macs == first.macs + last.macs
    assert cost.array_cycles == steps + 8
    assert cost.utilisation == cost.macs / (8 * 8 * 2 * cost.cycles)
    # 5x5 pixels of 2 words each of 8 bytes on both sides; 2 groups of 4 planes of 8x8 weights.
    assert first.bytes == 2 * (25 * 2 * 8) + 2 * 4 * walk * 32
    assert first.utilisation == first.macs / (8 * 8 * 2 * first.cycles)
    assert (first.passes, pool.passes, last.passes) == (8, 1, 1)
    # Four planes of nibbles, one.
    assert (first.weight_bits, pool.weight_bits, last.weight_bits) == (16, 0, 4)
    assert first.credited == 8 * first.utilisation
    credited = 8 * first.macs + last.macs
    assert cost.credited == credited / (8 * 8 * 2 * cost.cycles)


def test_packed_weights_take_fewer_bytes(spec: Any, random_network: Callable[..., Network]) -> None:
    """18 words of 8x8 weights in 2 bits, and of a walk of 9 words filled up to 12 in 1 bit."""
    specs = [spec(out=8, codebook="ternary"), spec(out=8, codebook="binary")]
    network = random_network((16, 9, 9), specs)
    first, second = describe(compile_network(network, preset("tiny-packed"))).layers
    assert (first.weight_bits, second.weight_bits) == (2, 1)
    assert (first.weight_words, second.weight_words) == (9, 3)
    # 9x9 pixels of 2 words, 7x7 of one, 5x5 of one, 8 bytes each.
    assert first.bytes == 81 * 16 + 49 * 8 + 9 * 32
    assert second.bytes == 49 * 8 + 25 * 8 + 3 * 32


def test_drains_follow_the_total_shifts(spec: Any, random_network: Callable[..., Network]) -> None:
    """int8 by 8 bits has the total shifts 0, 4 and 8."""
    network = random_network((1, 3, 3), [spec(out=1, codebook="int8", bits=8)])
    (layer,) = describe(compile_network(network, preset("tiny"))).layers
    assert layer.drains == 3


def test_stripes_count_their_rows_and_the_weights_once(
    spec: Any, random_network: Callable[..., Network]
) -> None:
    """12 rows of 16 pixels in 6 stripes, which read 3, 4 times 4 and 3 rows of 8 channels."""
    network = random_network((8, 12, 16), [spec(out=8, pad=(1, 1, 1, 1))])
    machine = replace(preset("tiny-p2"), feature_words=32, instruction_words=1024)
    (layer,) = describe(compile_network(network, machine)).layers
    assert layer.bytes == (3 + 4 * 4 + 3) * 16 * 8 + 9 * 32 + 12 * 16 * 8
    steps = 12 * 8 * 9
    assert layer.cycles == steps + 6 * (START + flush(machine, Opcode.CONVOLVE))
