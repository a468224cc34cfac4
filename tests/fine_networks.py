# SPDX-License-Identifier: Apache-2.0
"""Networks of 12-bit codes from networks of 8-bit ones."""

from __future__ import annotations

from dataclasses import replace

from tritone.graph import Convolution, Network, Node

PLACES = 12 - 8  # that a 12-bit code has below an 8-bit one


def to_fine(network: Network) -> Network:
    """Return ``network`` with 12-bit codes, of a sixteenth of the step, behind the first layer.

    Pools of the image keep its bytes. A beta becomes twice as large, within 1/4..4.
    """
    fine: set[str] = set()
    betas = {
        node.gain.tensor for node in network.nodes if isinstance(node, Convolution) and node.gain
    }
    tensors = dict(network.tensors)
    nodes: list[Node] = []
    for node in network.nodes:
        made = tensors[node.output]
        if isinstance(node, Convolution):
            node = _finer(node, made.wide, fine)
            if made.name in betas:
                node = replace(node, shift=node.shift - 1, low=256, high=4095)
        if not made.wide and (isinstance(node, Convolution) or node.input in fine):
            tensors[made.name] = replace(made, zero=made.zero << PLACES, stream_bits=12)
            fine.add(made.name)
        nodes.append(node)
        for tensor in network.tensors.values():
            if tensor.parts and set(tensor.parts) <= fine:
                tensors[tensor.name] = replace(tensor, zero=tensor.zero << PLACES, stream_bits=12)
                fine.add(tensor.name)
    return replace(network, tensors=tensors, nodes=tuple(nodes))


def _finer(node: Convolution, wide: bool, fine: set[str]) -> Convolution:
    """Return the same function to codes of a sixteenth of the step, except where it is ``wide``."""
    places = 0 if wide else PLACES
    shortcut = node.shortcut
    if shortcut is not None and shortcut.tensor in fine:
        t = max(shortcut.shift - PLACES, 0)
        multiplier = shortcut.multiplier >> (PLACES - (shortcut.shift - t))
        shortcut = replace(shortcut, multiplier=multiplier, shift=t)
    multiplier = node.multiplier
    if node.gain is not None and node.gain.adapted:
        multiplier = multiplier // 2
    return replace(
        node,
        shift=node.shift - places,
        low=node.low << places,
        high=((node.high + 1) << places) - 1,
        multiplier=multiplier,
        shortcut=shortcut,
    )
