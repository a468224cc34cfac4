# SPDX-License-Identifier: Apache-2.0
"""Weights lie in the words and nibbles of docs/machine.md; everything else is idle."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tritone.compiler.fold import fold
from tritone.compiler.tile import Reach, Region, TiledLayer, tile
from tritone.graph import Network, PoolKind, Tensor
from tritone.spec.catalog import codebook
from tritone.spec.machine import ArrayKind, MachineConfig, preset

MACHINES = [preset("tiny-p2"), MachineConfig(name="few", rows=16, columns=8, pixels=2)]


def _words(data: bytes, machine: MachineConfig) -> list[int]:
    """Return the memory words that a LOAD fills."""
    size = machine.weight_word_bits // 8
    return [
        int.from_bytes(data[start : start + size], "little") for start in range(0, len(data), size)
    ]


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
@pytest.mark.parametrize("name", ["post4", "int8", "post5", "binary"])
def test_weights_lie_where_the_machine_reads_them(
    name: str, machine: MachineConfig, spec: Any, random_network: Callable[..., Network]
) -> None:
    """Nibble c * R + r of a word; words by group, plane, ky, kx, channel word."""
    layer = spec(out=13, kernel=(2, 3), codebook=name)
    network = random_network((18, 4, 4), [layer])
    tiled = tile(fold(network)[0], machine)
    codes, plan = network.nodes[0].codes, codebook(name).plan(machine.array)
    rows, columns = machine.rows, machine.columns
    in_words = -(-18 // rows)
    groups = -(-13 // columns)
    assert (tiled.groups, tiled.walk) == (groups, 6 * in_words)
    storage = tiled.storage
    assert storage.group_words == 6 * in_words
    assert storage.memory_words == 6 * in_words * len(plan.passes)
    stored = [_words(storage.stored(p, 0, groups), machine) for p in range(len(plan.passes))]
    assert {len(words) for words in stored} == {6 * in_words * groups}
    for g, p, ky, kx, k in np.ndindex(groups, len(plan.passes), 2, 3, in_words):
        word, plane = stored[p][(g * 6 + ky * 3 + kx) * in_words + k], plan.passes[p].plane
        for c, r in np.ndindex(columns, rows):
            out, inner = g * columns + c, k * rows + r
            used = out < 13 and inner < 18
            expected = plan.nibbles[codes[out, inner, ky, kx]][plane] if used else plan.idle[plane]
            assert word >> (4 * (c * rows + r)) & 15 == expected


def test_regions() -> None:
    """Channel words, rows, stored pixels, words of a bank; wide tensors take twice the pixels."""
    machine = preset("tiny-p2")
    narrow = Region.of(Tensor(name="t", shape=(17, 5, 6), zero=0, step=1.0), machine)
    assert narrow == Region(channels=3, height=5, width=6, row_words=2)
    assert (narrow.rows, narrow.plane_words, narrow.words) == (15, 10, 30)
    wide = Region.of(Tensor(name="t", shape=(8, 1, 5), zero=0, step=1.0, wide=True), machine)
    assert wide == Region(channels=1, height=1, width=10, row_words=3)


def test_pools_have_no_weights(spec: Any, random_network: Callable[..., Network]) -> None:
    """A walk is the window of one channel word."""
    network = random_network((20, 6, 7), [spec(kind=PoolKind.MAX, kernel=(3, 2), stride=2)])
    tiled = tile(fold(network)[0], preset("tiny-p2"))
    assert (tiled.walk, tiled.groups) == (6, 3)
    storage = tiled.storage
    assert (storage.packings, storage.memory_words, storage.group_words) == ((), 0, 0)


def test_shortcuts_take_whole_output_groups(
    step: Any, spec: Any, network_of_steps: Callable[..., Network]
) -> None:
    """As many groups as the shortcut has; a last one that is not full must be the output's too."""
    machine = preset("tiny")

    def tiled(channels: int, out: int) -> TiledLayer:
        network = network_of_steps(
            (channels, 3, 3),
            [
                step(spec=spec(out=4, kernel=(1, 1)), reads=-1),
                step(spec=spec(out=out, kernel=(1, 1)), reads=0, adds=-1),
            ],
            seed=0,
        )
        return tile(fold(network)[1], machine)

    for channels, out, groups in ((8, 8, 1), (5, 5, 1), (11, 11, 2), (8, 20, 1), (16, 17, 2)):
        assert tiled(channels, out).shortcut_groups == groups
    assert tiled(16, 17).shortcut == Region(channels=2, height=3, width=3, row_words=2)
    message = (
        r"^Layer layer1 must add input to all of its 13 channels or to a multiple of 8, not to 12$"
    )
    with pytest.raises(ValueError, match=message):
        tiled(12, 13)


@pytest.mark.parametrize(
    ("channels", "out", "groups", "reach"),
    [
        (20, 20, 20, Reach(1, 1)),  # depthwise: a word for each output group
        (20, 40, 20, Reach(1, 2)),  # two outputs a channel: a word for two output groups
        (48, 24, 24, Reach(2, 1)),  # two inputs a channel
        (40, 20, 20, Reach(5, 3)),  # here the last walk would end behind the input
        (64, 64, 16, Reach(1, 1)),  # four channels to four
        (64, 64, 2, Reach(4, 4)),  # halves
        (48, 48, 2, Reach(3, 3)),
        (24, 24, 2, Reach(3, 3)),  # 12 to 12: the middle output group meets all words
        (8, 8, 4, Reach(1, 1)),
        (20, 20, 1, Reach(3, 3)),
    ],
)
def test_groups_walk_over_the_words_that_they_meet(
    channels: int,
    out: int,
    groups: int,
    reach: Reach,
    spec: Any,
    random_network: Callable[..., Network],
) -> None:
    """On 8x8 lanes; every weight stands where its walk meets its channel, all others are idle."""
    layer = spec(out=out, kernel=(2, 1), groups=groups)
    network = random_network((channels, 3, 3), [layer])
    tiled = tile(fold(network)[0], preset("tiny"))
    assert tiled.reach == reach
    assert (tiled.walk, tiled.storage.group_words) == (2 * reach.words, 2 * reach.words)
    codes, plan = network.nodes[0].codes, codebook("post4").plan(ArrayKind.POST)
    words = _words(tiled.storage.stored(0, 0, tiled.groups), preset("tiny"))
    assert len(words) == tiled.groups * 2 * reach.words
    inputs, outputs = channels // groups, out // groups
    for g, ky, k in np.ndindex(tiled.groups, 2, reach.words):
        word = words[(g * 2 + ky) * reach.words + k]
        for c, r in np.ndindex(8, 8):
            made, met = 8 * g + c, 8 * (g // reach.turn * reach.words + k) + r
            expected = plan.idle[0]
            if made < out and met // inputs == made // outputs:
                expected = plan.nibbles[codes[made, met % inputs, ky, 0]][0]
            assert word >> (4 * (8 * c + r)) & 15 == expected


def test_adaptive_steps_need_a_machine_that_has_them(
    random_adaptive: Callable[[int], Network],
) -> None:
    """The layer, its step and the remedies are named; an adaptive machine takes both layers."""
    layers = {layer.name: layer for layer in fold(random_adaptive(1))}
    message = (
        r"must have a fixed step on tiny-p2, not the adaptive one of beta: choose a machine with "
        r"adaptive = true, or export with --static-steps$"
    )
    for name in ("beta", "result"):
        tile(layers[name], preset("tiny-asq"))
        with pytest.raises(ValueError, match=rf"^Layer {name} {message}"):
            tile(layers[name], preset("tiny-p2"))
