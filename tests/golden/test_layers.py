# SPDX-License-Identifier: Apache-2.0
"""The layer model against docs/numerics.md written out in Python integers, value by value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from fine_networks import to_fine
from hypothesis import given, settings
from hypothesis import strategies as st

from tritone.golden import layers
from tritone.graph import Convolution, Network, Node, Pool, PoolKind, Tensor
from tritone.spec.catalog import codebook


def _round(value: int, shift: int) -> int:
    """Floor of value / 2**shift + 1/2, by long division."""
    return (2 * value + (1 << shift)) // (2 << shift)


def _median(low: int, value: int, high: int) -> int:
    return sorted((low, value, high))[1]


def _pixel(codes: Any, channel: int, y: int, x: int, outside: int) -> int:
    _, height, width = codes.shape
    inside = 0 <= y < height and 0 <= x < width
    return int(codes[channel, y, x]) if inside else outside


def _value(network: Network, node: Node, tensors: Any, channel: int, y: int, x: int) -> int:
    """Output of ``node`` at one place, from the codes [C, H, W] of every tensor."""
    codes = tensors[node.input]
    source = network.tensors[node.input]
    z, width, (top, left, _, _) = source.zero, source.stream_bits, node.window.pad
    places = [
        (ky, kx, y * node.window.stride + ky - top, x * node.window.stride + kx - left)
        for ky in range(node.window.kernel[0])
        for kx in range(node.window.kernel[1])
    ]
    if isinstance(node, Pool):
        if node.kind is PoolKind.MAX:
            return max(_pixel(codes, channel, py, px, 0) for _, _, py, px in places)
        total = sum(_pixel(codes, channel, py, px, z) - z for _, _, py, px in places)
        return _median(-z, _round(total * node.multiplier, node.shift), 2**width - 1 - z) + z
    gain = node.gain
    r = width - node.bits - (gain.headroom if gain else 0)
    z_a, largest = z // 2**r, 2**node.bits - 1
    beta = int(tensors[gain.tensor].item()) if gain else 1024
    inverse = (2**18 + beta // 2) // beta  # 2**8 / beta
    even = odd = 0
    inputs = source.shape[0] // node.groups
    first = channel // (len(node.codes) // node.groups) * inputs
    for inner in range(inputs):
        for ky, kx, py, px in places:
            u = _pixel(codes, first + inner, py, px, -1)
            fine = (u - z) * inverse  # z_a + (u - z) / 2**r, of which the 8 places are rounded too
            a = node.pad_code if u < 0 else _median(0, z_a + _round(fine, r + 8), largest)
            level = codebook(node.codebook).levels[node.codes[channel, inner, ky, kx]]
            assert level is not None
            even += level.even * (a - z_a)
            odd += level.odd * (a - z_a)
    v = 128 * even + 181 * odd
    m, d = int(node.multiplier[channel]), int(node.offset[channel])
    if gain and gain.adapted:
        m = _round(m * beta, 10)
    return _median(
        node.low,
        (v * m + _added(network, node, tensors, channel, y, x) + d) // 2**node.shift,
        node.high,
    )


def _added(network: Network, node: Convolution, tensors: Any, channel: int, y: int, x: int) -> int:
    shortcut = node.shortcut
    if shortcut is None:
        return 0
    tensor = network.tensors[shortcut.tensor]
    inner = channel - shortcut.channel_offset
    if not 0 <= inner < tensor.shape[0]:
        return 0
    k = int(tensors[shortcut.tensor][inner, y * shortcut.stride, x * shortcut.stride])
    return int((k - tensor.zero) * shortcut.multiplier * 2**shortcut.shift)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 1 << 30))
def test_every_value_is_by_definition(seed: int, random_chain: Callable[[int], Network]) -> None:
    """Values of each layer at random places are those of the definition."""
    _check(random_chain(seed), seed)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 1 << 30))
def test_shortcuts_and_groups_are_by_definition(
    seed: int, random_residual: Callable[[int], Network]
) -> None:
    """The same for residual adds and grouped convolutions."""
    _check(random_residual(seed), seed)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 1 << 30))
def test_adaptive_steps_are_by_definition(
    seed: int, random_adaptive: Callable[[int], Network]
) -> None:
    """The same for a convolution that reads with beta, whose M may follow it."""
    _check(random_adaptive(seed), seed)


@pytest.mark.parametrize("kind", ["chain", "residual", "adaptive"])
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1 << 30))
def test_codes_of_12_bits_are_by_definition(
    seed: int, kind: str, request: pytest.FixtureRequest
) -> None:
    """The same for tensors of 12-bit codes, some of them behind 8-bit ones."""
    network = to_fine(request.getfixturevalue(f"random_{kind}")(seed))
    assert any(tensor.stream_bits == 12 for tensor in network.tensors.values()) or kind == "chain"
    _check(network, seed)


def _check(network: Network, seed: int) -> None:
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (2, *network.tensors["input"].shape), np.uint8)
    tensors = layers.run(network, images)
    assert (tensors["input"] == images).all()
    for node in network.nodes:
        result = tensors[node.output]
        assert result.shape == (2, *network.tensors[node.output].shape)
        for _ in range(6):
            image, *place = (int(n) for n in rng.integers(result.shape))
            seen = {name: values[image] for name, values in tensors.items()}
            expected = _value(network, node, seen, *place)
            assert result[(image, *place)] == expected, (node.name, image, place)


@pytest.mark.parametrize("width", [8, 12])
@pytest.mark.parametrize("bits", range(1, 9))
def test_reading_every_code(bits: int, width: int) -> None:
    """All codes and 17 zeros: a is the nearest of the coarser steps, counted from the zero."""
    r, count = width - bits, 1 << width
    for zero in {*range(0, count, max(1 << r, count >> 4)), count - (1 << r)}:
        tensor = Tensor(name="t", shape=(1, 1, 1), zero=zero, step=1.0, stream_bits=width)
        expected = [
            _median(0, zero // 2**r + _round(u - zero, r), 2**bits - 1) for u in range(count)
        ]
        assert layers.read(np.arange(count), tensor, bits).tolist() == expected


@pytest.mark.parametrize("width", [8, 12])
@pytest.mark.parametrize("bits", [1, 4, 7, 8])
def test_reading_every_code_with_beta(bits: int, width: int) -> None:
    """All codes, betas at both ends and between: one rounding of the product with 1/beta."""
    headroom, count = (1, 256) if width == 8 else (2, 4096)
    if bits + headroom > width:
        return
    betas = (512, 777, 1024, 2048) if width == 8 else (256, 257, 777, 1024, 3001, 4095)
    tensor = Tensor(name="t", shape=(1, 1, 1), zero=0, step=1.0, stream_bits=width)
    for beta in betas:
        inverse = (2**18 + beta // 2) // beta
        shift = width - bits - headroom + 8
        expected = [_median(0, _round(u * inverse, shift), 2**bits - 1) for u in range(count)]
        found = layers.read_adapted(np.arange(count), tensor, np.array(beta), bits, headroom)
        assert found.tolist() == expected


def test_rails_are_exact_pairs(spec: Any, random_network: Callable[..., Network]) -> None:
    """E and O of a hand-made window: weights 8 and sqrt 2, of activations 3 and 5 with zero 2."""
    network = random_network((1, 1, 2), [spec(out=1, kernel=(1, 2), bits=4)], zero=32)
    node = network.nodes[0]
    assert isinstance(node, Convolution)
    book = codebook("post4")
    even = next(c for c in book.codes if (book.level(c).even, book.level(c).odd) == (8, 0))
    odd = next(c for c in book.codes if (book.level(c).even, book.level(c).odd) == (0, 1))
    node.codes[...] = [[[[even, odd]]]]
    activations = np.array([[[[3, 5]]]])
    assert [int(rail.item()) for rail in layers.rail_sums(node, activations, 2)] == [8, 3]
