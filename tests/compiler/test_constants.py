# SPDX-License-Identifier: Apache-2.0
"""Where weights and parameters lie: for good where they fit, else in blocks and slices."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tritone.compiler.constants import Block, Constants, Slice, WeightRun, plan_constants
from tritone.compiler.fold import fold
from tritone.compiler.tile import tile
from tritone.graph import Network, PoolKind
from tritone.spec.catalog import codebook
from tritone.spec.machine import MachineConfig, preset

TINY = preset("tiny")


def _plan(network: Network, machine: MachineConfig) -> Constants:
    return plan_constants([tile(layer, machine) for layer in fold(network)], machine)


def test_constants_lie_one_behind_the_other(
    spec: Any, random_network: Callable[..., Network]
) -> None:
    """Weights and parameters of all layers; the planes of a codebook hold all layers that use it.

    Here int4 takes two planes of 4 + 1 words, post4 one of 2 words behind them.
    """
    network = random_network(
        (8, 4, 4),
        [
            spec(out=16, kernel=(1, 2), codebook="int4"),
            spec(out=8, kernel=(1, 1), codebook="post4"),
            spec(kind=PoolKind.MAX, kernel=(2, 2)),
            spec(out=8, kernel=(1, 1), codebook="int4"),
        ],
    )
    constants = _plan(network, TINY)
    assert constants.slices == (Slice(0, 0, 2), Slice(1, 0, 1), Slice(2, 0, 1), Slice(3, 0, 1))
    assert constants.weight_bases == [(0, 5), (10,), (), (4, 9)]
    assert constants.parameter_bases == [0, 16, 24, 32]
    assert constants.weights == (Block(0, 3, 0, 12),)
    assert constants.parameters == (Block(0, 3, 0, 40),)
    assert constants.weight_runs == (
        (
            WeightRun(codebook("int4"), (0, 3), (0, 5), (5, 5)),
            WeightRun(codebook("post4"), (1,), (10,), (2,)),
        ),
    )


@pytest.mark.parametrize(
    ("outs", "slices", "blocks"),
    [
        # 63 words of the last layer are three slices, of 3 output groups and of what is left.
        (
            (8, 8, 56),
            [(0, 0, 1), (1, 0, 1), (2, 0, 3), (2, 3, 3), (2, 6, 1)],
            [(0, 1, 0, 18), (2, 2, 37, 27), (3, 3, 0, 27), (4, 4, 55, 9)],
        ),
        # Of three blocks the first is split: the last and the first one are neighbours too.
        (
            (8, 8, 48),
            [(0, 0, 1), (1, 0, 1), (2, 0, 3), (2, 3, 3)],
            [(0, 0, 0, 9), (1, 1, 55, 9), (2, 2, 0, 27), (3, 3, 37, 27)],
        ),
    ],
)
def test_blocks_take_the_ends_of_memory_in_turn(
    outs: tuple[int, ...],
    slices: list[tuple[int, int, int]],
    blocks: list[tuple[int, int, int, int]],
    spec: Any,
    random_network: Callable[..., Network],
) -> None:
    """Small layers share a block of 32 of 64 words; a larger one is cut into even slices.

    An output group of these layers takes 9 words.
    """
    network = random_network((8, 9, 9), [spec(out=out) for out in outs])
    constants = _plan(network, replace(TINY, weight_words=64))
    assert constants.slices == tuple(Slice(*each) for each in slices)
    assert constants.weights == tuple(Block(*each) for each in blocks)
    # Slices of a block lie one behind the other; a plane has all of them.
    for block, runs in zip(constants.weights, constants.weight_runs, strict=True):
        (run,) = runs
        assert (run.bases, run.words) == ((block.base,), (block.words,))
        assert run.slices == tuple(range(block.first, block.last + 1))
    assert constants.parameters == (Block(0, len(slices) - 1, 0, 8 * sum(s[2] for s in slices)),)


def test_blocks_above_half_of_a_memory_share_words(
    spec: Any, random_network: Callable[..., Network]
) -> None:
    """Three output groups of 9 words in 16."""
    network = random_network((8, 9, 9), [spec(out=8)] * 3)
    constants = _plan(network, replace(TINY, weight_words=16))
    assert [block.base for block in constants.weights] == [0, 7, 0]
    first, second, third = constants.weights
    assert first.overlaps(second)
    assert third.overlaps(first)
    assert not Block(0, 0, 0, 8).overlaps(Block(1, 1, 8, 8))


def test_slices_are_whole_channel_words(spec: Any, random_network: Callable[..., Network]) -> None:
    """With C < R a slice begins with a word of R channels; parameters are cut in the same way."""
    machine = replace(TINY, rows=16, parameter_words=32)
    network = random_network((3, 5, 5), [spec(out=40, kernel=(1, 1)), spec(out=8)])
    constants = _plan(network, machine)
    # An output group takes 8 words, two of them half of the memory; the last two slices one.
    assert constants.slices == tuple(
        Slice(*each) for each in [(0, 0, 2), (0, 2, 2), (0, 4, 1), (1, 0, 1)]
    )
    assert [block.base for block in constants.parameters] == [0, 16, 0, 24]
    assert len(constants.weights) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"weight_words": 8},
            r"^Layer layer1 must fit 8 weight words with one output group, not 16$",
        ),
        (
            {"parameter_words": 4},
            r"^Layer layer0 must fit 4 parameter words with one output group, not 8$",
        ),
        (
            {"weight_words": 8, "rows": 16},
            r"^Layer layer1 must fit 8 weight words with 2 output groups, not 32$",
        ),
    ],
)
def test_output_groups_that_do_not_fit_are_refused(
    change: dict[str, int], message: str, spec: Any, random_network: Callable[..., Network]
) -> None:
    """The layer, what the memory has and what the least slice of it needs."""
    network = random_network(
        (8, 4, 5),
        [
            spec(out=8, kernel=(2, 2), codebook="post4"),
            spec(out=16, kernel=(2, 2), codebook="int8"),
        ],
    )
    with pytest.raises(ValueError, match=message):
        _plan(network, replace(TINY, **change))


@pytest.mark.parametrize(
    ("words", "packing", "message"),
    [
        (4, False, "4 weight words with one output group, not 9; packing = true makes them 3"),
        # The other one takes 18 packed.
        (16, False, "16 weight words with one output group, not 36"),
        (16, True, "16 weight words with one output group, not 18"),
    ],
)
def test_packing_is_offered_where_it_is_enough(
    words: int,
    packing: bool,
    message: str,
    spec: Any,
    random_network: Callable[..., Network],
) -> None:
    """Binary weights of 9 words, and integers of 36 that take two passes of pairs."""
    specs = [spec(out=8, codebook="binary"), spec(out=8, codebook="int3", kernel=(3, 6))]
    network = random_network((8, 9, 9), specs)
    with pytest.raises(ValueError, match=rf"^Layer layer\d must fit {message}$"):
        _plan(network, replace(TINY, weight_words=words, packing=packing))
