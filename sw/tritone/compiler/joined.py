# SPDX-License-Identifier: Apache-2.0
"""Tensors that lie in one another: the parts of a concatenation, one behind the other.

Nothing is copied: the layers write their channel words where the concatenation has them. So its
tensors have whole channel words, and each has one place, whoever reads it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tritone.compiler.tile import Region, TiledLayer
from tritone.graph import Tensor
from tritone.spec.machine import MachineConfig

__all__ = ["Member", "join"]


@dataclass(frozen=True)
class Member:
    """A tensor that lies in a region with others.

    Parameters
    ----------
    family : the tensors of that region.
    whole : the region.
    first : the tensor's first channel word in it.
    region : of the tensor.
    """

    family: frozenset[str]
    whole: Region
    first: int
    region: Region

    @property
    def offset(self) -> int:
        """Words from the whole region's first to the tensor's."""
        return self.first * self.whole.plane_words


def join(layers: Sequence[TiledLayer], machine: MachineConfig) -> Mapping[str, Member]:
    """Return where each tensor lies that is a concatenation that layers read, or a part of one.

    Raises
    ------
    ValueError : a part has no whole channel words, two tensors would lie at one place, or the image
        is a part.
    """
    made = {each.layer.output.name: each.layer.output for each in layers}
    tensors = dict(made)
    # Tensors whose places depend on each other, with their first words, shared by all of them.
    related: dict[str, dict[str, int]] = {}
    for each in layers:
        for joined in _read(each):
            tensors[joined.name] = joined
            words = 0
            for index, name in enumerate(joined.parts):
                if name not in made:
                    raise ValueError(
                        f"Layer {each.layer.name} must read a concatenation of layers' results, "
                        f"not of {name}; a pool of 1x1 can copy it"
                    )
                channels = made[name].shape[0]
                if channels % machine.rows and index + 1 < len(joined.parts):
                    raise ValueError(
                        f"Layer {each.layer.name} must read a concatenation whose parts but the "
                        f"last have a multiple of {machine.rows} channels, not {channels} as "
                        f"{name} has; make them so many, or put it last"
                    )
                _relate(each.layer.name, related, joined.name, name, words)
                words += -(-channels // machine.rows)
    members: dict[str, Member] = {}
    for family in {id(each): each for each in related.values()}.values():
        members |= _members(family, tensors, set(made), machine)
    return members


def _read(tiled: TiledLayer) -> list[Tensor]:
    """Return the concatenations that a layer reads."""
    layer = tiled.layer
    added = [layer.shortcut.tensor] if layer.shortcut else []
    return [tensor for tensor in (layer.input, *added) if tensor.parts]


def _relate(
    layer: str, related: dict[str, dict[str, int]], one: str, other: str, words: int
) -> None:
    """Note that ``other`` begins so many channel words behind ``one``."""
    ours, theirs = (related.setdefault(name, {name: 0}) for name in (one, other))
    if ours is theirs:
        if ours[other] - ours[one] != words:
            raise ValueError(
                f"Layer {layer} must read {other} where another concatenation has it, not "
                f"elsewhere in {one}; a pool of 1x1 can copy it"
            )
        return
    move = ours[one] + words - theirs[other]
    for name, first in theirs.items():
        ours[name] = first + move
        related[name] = ours


def _members(
    family: Mapping[str, int],
    tensors: Mapping[str, Tensor],
    made: set[str],
    machine: MachineConfig,
) -> dict[str, Member]:
    """Return the tensors of a family with their places."""
    start = min(family.values())
    regions = {name: Region.of(tensors[name], machine) for name in family}
    end, before = start, ""
    for name in sorted(made & family.keys(), key=lambda name: family[name]):
        if family[name] < end:
            raise ValueError(
                f"Tensors {before} and {name} must have places of their own, not both the same in "
                "concatenations; a pool of 1x1 can copy what these share"
            )
        end, before = family[name] + regions[name].channels, name
    whole = replace(regions[before], channels=end - start)
    names = frozenset(family)
    return {
        name: Member(names, whole, first - start, regions[name]) for name, first in family.items()
    }
