# SPDX-License-Identifier: Apache-2.0
"""Inputs and outputs lie in different groups where shortcuts allow it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tritone.compiler.align import align
from tritone.compiler.feature_groups import feature_groups
from tritone.compiler.fold import fold
from tritone.compiler.joined import join
from tritone.compiler.tile import tile
from tritone.graph import Network
from tritone.spec.machine import preset

TINY = preset("tiny")


def _groups(network: Network) -> dict[str, int]:
    layers = [tile(layer, TINY) for layer in fold(align(network)[0])]
    return feature_groups(layers, join(layers, TINY))


def test_a_chain_alternates(spec: Any, random_network: Callable[..., Network]) -> None:
    """The image lies in group 0."""
    network = random_network((3, 4, 4), [spec(out=4, kernel=(1, 1))] * 3)
    assert _groups(network) == {"input": 0, "tensor0": 1, "tensor1": 0, "tensor2": 1}


def test_a_projection_lies_beside_what_it_is_added_to(
    residual_blocks: Callable[..., Network],
) -> None:
    """Both convolutions of a block read the stem; the second one's result is what is added."""
    network = residual_blocks("project", 0)
    groups = _groups(network)
    for node in network.nodes:
        added = getattr(node, "shortcut", None)
        if added is not None:
            assert groups[added.tensor] == groups[node.output] != groups[node.input]


def test_parts_lie_in_the_group_of_the_whole(random_joined: Callable[..., Network]) -> None:
    """Whoever makes them."""
    network = random_joined(0, TINY.rows)
    groups = _groups(network)
    joined = [each for each in network.tensors.values() if each.parts and each.name in groups]
    assert joined
    for each in joined:
        assert {groups[part] for part in each.parts if part in groups} <= {groups[each.name]}
