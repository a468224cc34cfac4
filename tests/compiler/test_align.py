# SPDX-License-Identifier: Apache-2.0
"""Aligned networks compute the same, channel by channel, and have no channel offsets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tritone.compiler.align import align
from tritone.golden import layers
from tritone.graph import Convolution, Network


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", ["identity", "pad", "project"])
def test_channels_only_change_their_places(
    kind: str, seed: int, residual_blocks: Callable[..., Network]
) -> None:
    network = residual_blocks(kind, seed)
    aligned, orders = align(network)
    shape = (1, *network.tensors[network.input].shape)
    image = np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)
    expected, got = layers.run(network, image), layers.run(aligned, image)
    assert set(orders) == set(expected)
    for name, order in orders.items():
        assert (got[name] == expected[name][:, list(order)]).all()
    for node in aligned.nodes:
        shortcut = node.shortcut if isinstance(node, Convolution) else None
        assert shortcut is None or shortcut.channel_offset == 0


def test_orders_follow_the_shortcuts(
    step: Any, spec: Any, network_of_steps: Callable[..., Network]
) -> None:
    """What is added comes first, in the order it has; a layer without shortcut keeps its own."""
    point = {"kernel": (1, 1)}
    network = network_of_steps(
        (2, 3, 3),
        [
            step(spec=spec(out=2, **point), reads=-1),
            step(spec=spec(out=4, **point), reads=0, adds=0, offset=1),
            step(spec=spec(out=7, **point), reads=1, adds=1, offset=2),
            step(spec=spec(out=3, **point), reads=2),
        ],
        seed=0,
    )
    aligned, orders = align(network)
    assert orders == {
        "input": (0, 1),
        "tensor0": (0, 1),
        "tensor1": (1, 2, 0, 3),
        "tensor2": (3, 4, 2, 5, 0, 1, 6),
        "tensor3": (0, 1, 2),
    }
    last, plain = aligned.nodes[3], network.nodes[3]
    assert (last.codes == plain.codes[:, [3, 4, 2, 5, 0, 1, 6]]).all()


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_groups_follow_the_order_of_their_inputs(
    groups: int, step: Any, spec: Any, network_of_steps: Callable[..., Network]
) -> None:
    """Behind padded channels: pairs, in an order in which pairs stay together, keep their own."""
    network = network_of_steps(
        (4, 3, 3),
        [
            step(spec=spec(out=8, kernel=(1, 1)), reads=-1, adds=-1, offset=2),
            step(spec=spec(out=8, kernel=(2, 2), groups=groups), reads=0),
            step(spec=spec(out=12, kernel=(1, 1), groups=4), reads=1),
        ],
        seed=groups,
    )
    if groups == 2:
        with pytest.raises(ValueError, match=TORN):
            align(network)
        return
    aligned, orders = align(network)
    assert orders["tensor0"] == (2, 3, 4, 5, 0, 1, 6, 7)
    expected_order = (0, 1, 2, 3, 4, 5, 6, 7) if groups == 1 else orders["tensor0"]
    assert orders["tensor1"] == expected_order
    image = np.random.default_rng(groups).integers(0, 256, (1, 4, 3, 3)).astype(np.uint8)
    expected, got = layers.run(network, image), layers.run(aligned, image)
    for name, order in orders.items():
        assert (got[name] == expected[name][:, list(order)]).all()


def test_groups_have_orders_of_their_own(
    step: Any, spec: Any, network_of_steps: Callable[..., Network]
) -> None:
    """Halves change places, and one of them the order of its channels."""
    network = network_of_steps(
        (2, 3, 3),
        [
            step(spec=spec(out=4, kernel=(1, 1)), reads=-1, adds=-1, offset=1),
            step(spec=spec(out=8, kernel=(1, 1)), reads=-1, adds=0, offset=4),
            step(spec=spec(out=6, kernel=(2, 2), groups=2), reads=1),
        ],
        seed=5,
    )
    aligned, orders = align(network)
    assert orders["tensor1"] == (5, 6, 4, 7, 0, 1, 2, 3)
    assert orders["tensor2"] == (3, 4, 5, 0, 1, 2)
    image = np.random.default_rng(5).integers(0, 256, (1, 2, 3, 3)).astype(np.uint8)
    expected, got = layers.run(network, image), layers.run(aligned, image)
    for name, order in orders.items():
        assert (got[name] == expected[name][:, list(order)]).all()


TORN = (
    r"^Layer layer1 must read whole groups of channels, not those of tensor0: a shortcut with a "
    r"channel offset has reordered them; project it by a convolution instead$"
)


def test_groups_that_add_keep_their_order(
    step: Any, spec: Any, network_of_steps: Callable[..., Network]
) -> None:
    def network(offset: int) -> Network:
        return network_of_steps(
            (4, 3, 3),
            [
                step(spec=spec(out=4, kernel=(1, 1)), reads=-1),
                step(spec=spec(out=8, kernel=(1, 1), groups=4), reads=0, adds=-1, offset=offset),
            ],
            seed=0,
        )

    assert align(network(0))[1]["tensor1"] == tuple(range(8))
    message = (
        r"^Layer layer1 must add input to its first channels, not from channel 2 on: its groups "
        r"keep the order of its input; pad the channels behind, or write the layer as one group$"
    )
    with pytest.raises(ValueError, match=message):
        align(network(2))
