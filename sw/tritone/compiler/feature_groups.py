# SPDX-License-Identifier: Apache-2.0
"""Which of the two groups of feature memory each tensor lies in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tritone.compiler.joined import Member
from tritone.compiler.tile import TiledLayer

__all__ = ["feature_groups"]


def feature_groups(layers: Sequence[TiledLayer], members: Mapping[str, Member]) -> dict[str, int]:
    """Return the feature memory group of every tensor; the image's is 0.

    Tensors of one region lie in one group. A shortcut lies in the group of the output, and the
    input in the other one. Else an output goes to the other group than its input, unless that would
    break a rule.

    Raises
    ------
    ValueError : the shortcuts contradict each other.
    """
    # Tensors whose groups depend on each other, with their sides, shared by all of them.
    related: dict[str, dict[str, int]] = {}

    def relate(one: str, other: str, differ: int) -> bool:
        ours, theirs = (related.setdefault(name, {name: 0}) for name in (one, other))
        if ours is theirs:
            return ours[one] ^ ours[other] == differ
        flip = ours[one] ^ theirs[other] ^ differ
        for name, side in theirs.items():
            ours[name] = side ^ flip
            related[name] = ours
        return True

    for name, member in members.items():
        relate(name, min(member.family), 0)
    for each in layers:
        layer = each.layer
        if layer.shortcut is None:
            continue
        source, result, added = layer.input.name, layer.output.name, layer.shortcut.tensor.name
        if not (relate(source, result, 1) and relate(added, result, 0)):
            raise ValueError(
                f"Layer {layer.name} must have its shortcut {added} in another feature memory "
                f"group than its input {source}, which other layers forbid; a pool of 1x1 between "
                "can copy one of them"
            )
    for each in layers:
        relate(each.layer.input.name, each.layer.output.name, 1)
    image = layers[0].layer.input.name
    sides = related[image]
    return {name: side ^ sides[image] for name, side in sides.items()}
