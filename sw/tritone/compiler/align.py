# SPDX-License-Identifier: Apache-2.0
"""Channels in an order in which every shortcut adds to the first channels of its layer.

The machine adds channel c of a shortcut to output channel c. A shortcut with a channel offset (the
zero padding of option A) therefore moves the output channels that it meets to the front, in the
order that its own channels have; the weights that read them follow. Nothing is computed otherwise:
a channel keeps its weights and constants.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from tritone.graph import Convolution, Network, Node, Shortcut

__all__ = ["align"]

Order = npt.NDArray[np.int64]


def _aligned(node: Convolution, orders: dict[str, Order]) -> tuple[Convolution, Order]:
    """Return the convolution on reordered channels, and the order of its output's."""
    order, inputs = _grouped(node, orders[node.input])
    shortcut = node.shortcut
    if shortcut is not None:
        order = _met_first(node, shortcut, order, orders[shortcut.tensor])
        shortcut = replace(shortcut, channel_offset=0)
    return (
        replace(
            node,
            codes=np.ascontiguousarray(np.take_along_axis(node.codes, inputs, 1)[order]),
            multiplier=node.multiplier[order],
            offset=node.offset[order],
            half_octaves=None if node.half_octaves is None else node.half_octaves[order],
            shortcut=shortcut,
        ),
        order,
    )


def _grouped(node: Convolution, order: Order) -> tuple[Order, Order]:
    """Return the order of the outputs, whose groups follow the inputs', and that of the inputs.

    The latter is (output channel, input channel of its group, 1, 1).
    """
    split = order.reshape(node.groups, -1)
    width = split.shape[1]
    groups = split[:, 0] // width
    if (split // width != groups[:, None]).any():
        raise ValueError(
            f"Layer {node.name} must read whole groups of channels, not those of {node.input}: a "
            "shortcut with a channel offset has reordered them; project it by a convolution instead"
        )
    made = len(node.codes) // node.groups
    outputs = (groups[:, None] * made + np.arange(made)).reshape(-1)
    inputs = np.empty_like(split)
    inputs[groups] = split % width
    return outputs, inputs.repeat(made, axis=0)[..., None, None]


def _met_first(node: Convolution, shortcut: Shortcut, order: Order, added: Order) -> Order:
    """Return an order of the outputs in which those that the shortcut meets come first."""
    met = shortcut.channel_offset + added
    if node.groups == 1:
        return np.concatenate([met, np.setdiff1d(order, met)])
    if (order[: len(met)] != met).any():
        raise ValueError(
            f"Layer {node.name} must add {shortcut.tensor} to its first channels, not from channel "
            f"{shortcut.channel_offset} on: its groups keep the order of its input; pad the "
            "channels behind, or write the layer as one group"
        )
    return order


def align(network: Network) -> tuple[Network, dict[str, tuple[int, ...]]]:
    """Return ``network`` with channels reordered so that all channel offsets are 0, and the orders.

    An order names for each place the channel of the given network that stands there.

    Raises
    ------
    ValueError : a layer has groups of channels that an order would tear apart.
    """
    orders: dict[str, Order] = {network.input: np.arange(network.tensors[network.input].shape[0])}
    nodes: list[Node] = []
    for node in network.nodes:
        if isinstance(node, Convolution):
            aligned, orders[node.output] = _aligned(node, orders)
            nodes.append(aligned)
        else:
            orders[node.output] = orders[node.input]
            nodes.append(node)
        for joined in network.joined(orders):
            first, parts = 0, []
            for name in joined.parts:
                parts.append(first + orders[name])
                first += len(orders[name])
            orders[joined.name] = np.concatenate(parts)
    return (
        replace(network, nodes=tuple(nodes)),
        {name: tuple(order.tolist()) for name, order in orders.items()},
    )
