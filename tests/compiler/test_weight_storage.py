# SPDX-License-Identifier: Apache-2.0
"""Packed words of weight memory, bit by bit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tritone.compiler import compile_network, pack_images
from tritone.compiler.fold import fold
from tritone.compiler.weight_storage import WeightStorage, store_weights
from tritone.golden import layers
from tritone.golden.machine import GoldenMachine
from tritone.graph import Network
from tritone.spec.catalog import codebook
from tritone.spec.machine import ArrayKind, preset
from tritone.spec.packing import Packing

PACKED, PLAIN = preset("tiny-packed"), preset("tiny-p2")


def _stored(network: Network, machine: Any, groups: int, words: int) -> WeightStorage:
    (layer,) = fold(network)
    return store_weights(layer, groups, (words, groups), machine)


@pytest.mark.parametrize(
    ("name", "channels", "packings"),
    [
        ("binary", 16, [Packing.BITS]),
        ("binary", 13, [Packing.PAIRS]),
        ("ternary", 16, [Packing.PAIRS]),
        ("odd2", 16, [Packing.BITS, Packing.BITS]),
        ("int3", 13, [Packing.PAIRS, Packing.PAIRS]),
        ("odd3", 16, [Packing.BITS, Packing.NIBBLES]),
        ("post4", 13, [Packing.NIBBLES]),
    ],
)
def test_every_weight_lies_in_its_bits(
    name: str,
    channels: int,
    packings: list[Packing],
    spec: Any,
    random_network: Callable[..., Network],
) -> None:
    """What the bits of each lane mean by docs/machine.md is the code of its weight, or nothing."""
    network = random_network((channels, 5, 5), [spec(out=11, kernel=(2, 3), codebook=name)])
    storage = _stored(network, PACKED, 2, 2)
    assert list(storage.packings) == packings
    densest = 4 >> min(each.bits.bit_length() - 1 for each in packings)
    walk, filled = 12, -(-12 // densest) * densest
    assert storage.group_words == filled
    assert storage.memory_words == storage.packed_words
    codes, plan = network.nodes[0].codes, codebook(name).plan(ArrayKind.POST)
    for index, (each, packing) in enumerate(zip(plan.passes, packings, strict=True)):
        bits = packing.bits
        base, low, high = storage.terms[index].fields
        data = np.frombuffer(storage.stored(index, 0, 2), np.uint8).reshape(-1, 32)
        assert len(data) == storage.pass_words(index, 2) == 2 * filled * bits // 4
        for group, word, column, row in np.ndindex(2, walk, 8, 8):
            position, part = divmod(group * filled + word, 4 // bits)
            lane = column * 8 + row
            nibble = int(data[position, lane // 2]) >> 4 * (lane % 2) & 15
            found = nibble
            if bits < 4:
                found = base ^ (low if nibble >> part & 1 else 0)
                found ^= high if bits == 2 and nibble >> part + 2 & 1 else 0
            out, tap, inner = group * 8 + column, word // 2, word % 2 * 8 + row
            if out >= 11:
                continue  # of no channel
            expected = plan.idle[each.plane]
            if inner < channels:
                expected = plan.nibbles[codes[out, inner, tap // 3, tap % 3]][each.plane]
            # What is not packed is looked up on its way.
            assert found == (expected if bits == 4 else each.table[expected])


def test_parts_begin_with_words_of_their_own(
    spec: Any, random_network: Callable[..., Network]
) -> None:
    """Output groups 1 and 2 of three are the middle of what all of them store; 9 words fill 12."""
    network = random_network((8, 5, 5), [spec(out=24, codebook="binary")])
    storage = _stored(network, PACKED, 3, 1)
    whole, part = storage.stored(0, 0, 3), storage.stored(0, 1, 1)
    assert (len(whole), len(part)) == (3 * 3 * 32, 3 * 32)
    assert whole[3 * 32 : 6 * 32] == part


def test_other_machines_store_nibbles(spec: Any, random_network: Callable[..., Network]) -> None:
    """They know what packing would save; passes that look up the same nibble share their data."""
    network = random_network((16, 5, 5), [spec(out=8, codebook="odd2")])
    storage = _stored(network, PLAIN, 1, 2)
    assert storage.packings == (Packing.NIBBLES, Packing.NIBBLES)
    assert not storage.packed
    assert (storage.group_words, storage.memory_words, storage.packed_words) == (18, 36, 10)
    assert storage.sources == (0, 0)
    assert storage.stored(0, 0, 1) == storage.stored(1, 0, 1)


@pytest.mark.parametrize("array", ["tiny-packed", "tiny_uniform", "tiny_pot", "tiny_half"])
def test_packed_networks_are_equal(
    array: str,
    spec: Any,
    random_network: Callable[..., Network],
    half_octaves: Callable[..., Network],
) -> None:
    """Golden layers and golden machine agree, whatever the codes of the array mean."""
    books = ["binary", "odd2", "ternary", "int3", "odd3", "fp4_e2m1", "binary"]
    specs = [
        spec(out=8 * (index % 3 + 1), kernel=(1, 1 + index % 2), codebook=book, pad=(0, 0, 0, 1))
        for index, book in enumerate(books)
    ]
    specs += [spec(out=13, codebook="binary", bits=8), spec(out=5, codebook="ternary", wide=True)]
    network = random_network((16, 5, 6), specs, seed=6)
    if array == "tiny_half":
        network = half_octaves(network)
    program = compile_network(network, replace(preset(array), packing=True))
    image = np.random.default_rng(2).integers(0, 256, (1, 16, 5, 6)).astype(np.uint8)
    expected = layers.run(network, image)
    found = GoldenMachine(program).run(pack_images(image, program))
    for entry, tensor in zip(program.metadata["tensors"], found, strict=True):
        assert (tensor == expected[entry["name"]][0]).all(), entry["name"]
