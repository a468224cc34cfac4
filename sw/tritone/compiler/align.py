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

from tritone.graph import Convolution, Network, Node

__all__ = ["align"]

Order = npt.NDArray[np.int64]


def _aligned(node: Convolution, orders: dict[str, Order]) -> tuple[Convolution, Order]:
    """Return the convolution on reordered channels, and the order of its output's."""
    order = np.arange(len(node.codes))
    shortcut = node.shortcut
    if shortcut is not None:
        met = shortcut.channel_offset + orders[shortcut.tensor]
        order = np.concatenate([met, np.setdiff1d(order, met)])
        shortcut = replace(shortcut, channel_offset=0)
    return (
        replace(
            node,
            codes=np.ascontiguousarray(node.codes[order][:, orders[node.input]]),
            multiplier=node.multiplier[order],
            offset=node.offset[order],
            shortcut=shortcut,
        ),
        order,
    )


def align(network: Network) -> tuple[Network, dict[str, tuple[int, ...]]]:
    """Return ``network`` with channels reordered so that all channel offsets are 0, and the orders.

    An order names for each place the channel of the given network that stands there.

    Raises
    ------
    ValueError : a layer has groups of channels.
    """
    orders: dict[str, Order] = {network.input: np.arange(network.tensors[network.input].shape[0])}
    nodes: list[Node] = []
    for node in network.nodes:
        if isinstance(node, Convolution):
            if node.groups != 1:
                raise ValueError(
                    f"Layer {node.name} must have one group of channels, not {node.groups}: the "
                    "array sums over all input channels; write it as one group, with zeros"
                )
            aligned, orders[node.output] = _aligned(node, orders)
            nodes.append(aligned)
        else:
            orders[node.output] = orders[node.input]
            nodes.append(node)
    return (
        replace(network, nodes=tuple(nodes)),
        {name: tuple(order.tolist()) for name, order in orders.items()},
    )
