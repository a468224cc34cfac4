# SPDX-License-Identifier: Apache-2.0
"""The fast model is the layer model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from fine_networks import to_fine

from tritone.golden import fast, layers
from tritone.graph import Convolution, Network
from tritone.spec.catalog import codebook


def _images(network: Network, count: int, seed: int = 0) -> Any:
    shape = (count, *network.tensors["input"].shape)
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


@pytest.mark.parametrize("seed", range(60))
def test_fast_equals_layers(seed: int, random_chain: Callable[[int], Network]) -> None:
    """Every tensor of random chains is equal."""
    network = random_chain(seed)
    images = _images(network, 3, seed)
    expected, result = layers.run(network, images), fast.run(network, images)
    assert list(result) == list(network.tensors)
    for name, values in expected.items():
        assert (result[name] == values).all(), name


@pytest.mark.parametrize("seed", range(30))
def test_fast_equals_layers_with_shortcuts(
    seed: int, random_residual: Callable[[int], Network]
) -> None:
    """Every tensor of random residual networks is equal."""
    network = random_residual(seed)
    images = _images(network, 3, seed)
    expected, result = layers.run(network, images), fast.run(network, images)
    for name, values in expected.items():
        assert (result[name] == values).all(), name


@pytest.mark.parametrize("seed", range(30))
def test_fast_equals_layers_with_adaptive_steps(
    seed: int, random_adaptive: Callable[[int], Network]
) -> None:
    """Every tensor is equal, with images of different betas in one batch."""
    network = random_adaptive(seed)
    images = _images(network, 5, seed)
    expected, result = layers.run(network, images), fast.run(network, images)
    for name, values in expected.items():
        assert (result[name] == values).all(), name


@pytest.mark.parametrize("kind", ["chain", "residual", "adaptive", "joined"])
@pytest.mark.parametrize("seed", range(12))
def test_fast_equals_layers_with_codes_of_12_bits(
    seed: int, kind: str, request: pytest.FixtureRequest
) -> None:
    """Every tensor is equal; codes reach beyond 8 bits."""
    network = to_fine(request.getfixturevalue(f"random_{kind}")(seed))
    images = _images(network, 5, seed)
    expected, result = layers.run(network, images), fast.run(network, images)
    for name, values in expected.items():
        assert (result[name] == values).all(), name
        assert (values.max() > 255) or network.tensors[name].stream_bits == 8


def test_betas_of_random_networks_differ(random_adaptive: Callable[[int], Network]) -> None:
    """The tests see betas within the bounds, on both of them, and several in a batch."""
    seen = []
    for seed in range(30):
        network = random_adaptive(seed)
        seen.append(fast.run(network, _images(network, 5, seed))["beta"].reshape(-1).tolist())
    every = {beta for betas in seen for beta in betas}
    assert {512, 2048} < every
    assert len(every) > 20
    assert any(len(set(betas)) > 2 for betas in seen)


def test_batches_are_joined_in_order(
    spec: Any, random_network: Callable[..., Network], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seven images in batches of two; with logits_only the output stands alone."""
    network = random_network((2, 5, 5), [spec(out=4), spec(out=3, kernel=(3, 3), wide=True)])
    images = _images(network, 7)
    monkeypatch.setattr(fast, "_COLUMN_BYTES", 2 * fast._column_bytes(network))
    expected = layers.run(network, images)
    result = fast.run(network, images)
    assert all((result[name] == expected[name]).all() for name in expected)
    logits = fast.run(network, images, logits_only=True)
    assert list(logits) == [network.output]
    assert (logits[network.output] == expected[network.output]).all()


@pytest.mark.parametrize(
    ("channels", "kind"), [(135, np.float32), (137, np.float64)], ids=["float32", "float64"]
)
def test_the_type_follows_the_bound(
    channels: int, kind: type[Any], spec: Any, random_network: Callable[..., Network]
) -> None:
    """All weights -8 on 15s: n * 8 * 128 * 15 reaches 2**24 between n = 1092 and 1093 taps."""
    layer = spec(out=2, kernel=(2, 4), codebook="post4", bits=4, wide=True)
    network = random_network((channels, 2, 4), [layer], zero=0)
    (node,) = network.nodes
    assert isinstance(node, Convolution)
    # {sign, odd, shift}: -8.
    node.codes[...] = 0b1011
    weights = np.full((2, 8 * channels), -8 * 128)
    assert fast._exact_type(node, weights, 15) is kind
    images = np.full((1, channels, 2, 4), 255, np.uint8)
    assert (
        fast.run(network, images)[network.output] == layers.run(network, images)[network.output]
    ).all()


@pytest.mark.parametrize(("zero", "byte"), [(0, 255), (255, 0)])
def test_sums_are_exact_to_the_last_bit(
    zero: int, byte: int, spec: Any, random_network: Callable[..., Network]
) -> None:
    """Sums beyond 2**27 whose low bits count: y = v - v0 with v0 from unbounded integers is 0."""
    layer = spec(out=3, kernel=(3, 3), codebook="post5", bits=8, wide=True)
    network = random_network((40, 3, 3), [layer], zero=zero)
    node = network.nodes[0]
    assert isinstance(node, Convolution)
    # Positive codes only, so that nothing cancels.
    node.codes[...] &= 15
    book = codebook("post5")
    sums = [
        sum(book.level(code).scaled * (byte - zero) for code in codes.flat) for codes in node.codes
    ]
    # A float32 has steps of at least 16 there.
    assert all(abs(total) > 1 << 27 for total in sums)
    assert any(total % 16 for total in sums)
    exact = replace(
        node,
        multiplier=np.ones(3, np.int64),
        offset=np.array([-total for total in sums], np.int64),
        shift=0,
    )
    network = replace(network, nodes=(exact,))
    images = np.full((1, 40, 3, 3), byte, np.uint8)
    for model in (fast, layers):
        assert model.run(network, images)[network.output].reshape(-1).tolist() == [0, 0, 0]


def test_sums_beyond_the_bound_are_refused(
    spec: Any, random_network: Callable[..., Network]
) -> None:
    """No float type is trusted with 2**46."""
    network = random_network((1, 1, 1), [spec(out=1, kernel=(1, 1))])
    node = network.nodes[0]
    assert isinstance(node, Convolution)
    with pytest.raises(
        ValueError, match=r"^Layer layer0 must have sums below 70368744177664 to be exact, not \d+$"
    ):
        fast._exact_type(node, np.array([[1 << 40]]), 255)
