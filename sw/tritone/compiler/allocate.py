# SPDX-License-Identifier: Apache-2.0
"""Addresses: feature regions by liveness, and where the constants lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tritone.compiler.constants import Constants, plan_constants
from tritone.compiler.joined import Member, join
from tritone.compiler.tile import Region, TiledLayer
from tritone.spec.isa import BETA_REGISTERS
from tritone.spec.machine import MachineConfig

__all__ = ["Allocation", "Place", "allocate"]


@dataclass(frozen=True)
class Place:
    """Where a tensor lies: feature memory group, first word, and its region."""

    group: int
    base: int
    region: Region


@dataclass(frozen=True, kw_only=True)
class Allocation:
    """The addresses of a program.

    Parameters
    ----------
    places : of the tensors by name.
    images : of the image; two where the next one is loaded beside the layers.
    results : of the result, one for each place of the image; equal where memory has no second one.
    constants : weights and parameters.
    beta_registers : of the betas by the name of their tensor.
    """

    places: Mapping[str, Place]
    images: tuple[Place, ...]
    results: tuple[Place, ...]
    constants: Constants
    beta_registers: Mapping[str, int]


def _require(layer: str, thing: str, needed: int, there: int) -> None:
    if needed > there:
        raise ValueError(f"Layer {layer} must fit {there} {thing}, not {needed}")


def _first_fit(needed: int, taken: list[Place]) -> int:
    """Return the lowest base at which ``needed`` words lie beside the ``taken`` regions."""
    base = 0
    for place in sorted(taken, key=lambda place: place.base):
        if base + needed <= place.base:
            break
        base = max(base, place.base + place.region.words)
    return base


def _groups(layers: Sequence[TiledLayer], members: Mapping[str, Member]) -> dict[str, int]:
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


def _features(
    layers: Sequence[TiledLayer], machine: MachineConfig, second: int | None
) -> tuple[dict[str, Place], tuple[Place, ...]]:
    """Return a place for every tensor, and those of the image.

    It lies on words that no living tensor takes, or replaces the shortcut that its layer is the
    last to read. The image may have a second place, in the group ``second``; one of the two is
    always being read or filled, so both always live.
    """
    members = join(layers, machine)
    groups = _groups(layers, members)
    image = layers[0].layer.input.name
    last_read = {each.layer.output.name: index for index, each in enumerate(layers)}
    for index, each in enumerate(layers):
        last_read[each.layer.input.name] = index
        if each.layer.shortcut is not None:
            last_read[each.layer.shortcut.tensor.name] = index
    if second is not None:
        last_read[image] = len(layers)
    places: dict[str, Place] = {}
    others: list[Place] = []

    def place(layer: str, index: int, tensor: str, group: int, region: Region) -> None:
        living = [
            place
            for name, place in places.items()
            if place.group == group and last_read[name] >= index
        ]
        living += [place for place in others if place.group == group]
        base = _first_fit(region.words, living)
        _require(
            layer, f"feature words in group {group}", base + region.words, machine.feature_words
        )
        places[tensor] = Place(group, base, region)

    first = layers[0]
    place(first.layer.name, -1, image, groups[image], first.input)
    if second is not None:
        others.append(places[image])
        place(first.layer.name, -1, image, second, first.input)
    for index, each in enumerate(layers):
        output, added = each.layer.output, each.layer.shortcut
        if output.name in places:
            continue
        if output.name in members:
            whole = members[output.name]
            place(each.layer.name, index, output.name, groups[output.name], whole.whole)
            base = places[output.name].base
            for name in whole.family:
                member = members[name]
                places[name] = Place(groups[name], base + member.offset, member.region)
        elif (
            added is not None
            and added.tensor.name not in members
            and added.stride == 1
            and last_read[added.tensor.name] == index
            and each.shortcut == each.output
            and not output.wide
        ):
            places[output.name] = places[added.tensor.name]
        else:
            place(each.layer.name, index, output.name, groups[output.name], each.output)
    return places, (*others, places[image])


def _places(
    layers: Sequence[TiledLayer], machine: MachineConfig, images: int
) -> tuple[dict[str, Place], tuple[Place, ...]]:
    """Return a place for every tensor, and those of the image.

    The second place of the image goes to the other group where the first one has no room for it,
    unless a shortcut tells the groups apart: the layer that reads it then writes the group that it
    reads in every other image.
    """
    if images == 1:
        return _features(layers, machine, None)
    image = layers[0].layer.input.name
    bound = any(
        each.layer.shortcut is not None
        and image in (each.layer.input.name, each.layer.shortcut.tensor.name)
        for each in layers
    )
    try:
        return _features(layers, machine, 0)
    except ValueError:
        if bound:
            raise
        return _features(layers, machine, 1)


def _results(
    last: TiledLayer,
    taken: Sequence[Place],
    places: Mapping[str, Place],
    machine: MachineConfig,
    images: int,
) -> tuple[Place, ...]:
    """Return the places of the result: a second one on words that nothing else ever takes.

    So the result of an image is stored while the layer that makes the next one writes the other.
    """
    first = places[last.layer.output.name]
    base = _first_fit(first.region.words, [place for place in taken if place.group == first.group])
    if images == 1:
        return (first,)
    if base + first.region.words > machine.feature_words:
        return first, first
    return first, Place(first.group, base, first.region)


def _beta_registers(layers: Sequence[TiledLayer]) -> dict[str, int]:
    """Return a register for every beta, free again behind the last layer that reads with it."""
    last_read = {
        each.layer.gain.tensor: index for index, each in enumerate(layers) if each.layer.gain
    }
    registers: dict[str, int] = {}
    for index, each in enumerate(layers):
        if not each.layer.makes_beta:
            continue
        living = {registers[name] for name in registers if last_read[name] > index}
        free = [register for register in range(BETA_REGISTERS) if register not in living]
        _require(each.layer.name, "betas at once", len(living) + 1, BETA_REGISTERS)
        registers[each.layer.output.name] = free[0]
    return registers


def allocate(layers: Sequence[TiledLayer], machine: MachineConfig, images: int = 1) -> Allocation:
    """Return the addresses of everything that ``layers`` keep in the memories of ``machine``.

    Parameters
    ----------
    layers : in the order of execution; the first one reads the image.
    machine : whose memories.
    images : places of the image, 1 or 2.

    Raises
    ------
    ValueError : a memory is too small; the message names the layer that exceeds it, and the words
        that it needs.
    """
    places, image_places = _places(layers, machine, images)
    return Allocation(
        places=places,
        images=image_places,
        results=_results(layers[-1], [*places.values(), *image_places], places, machine, images),
        constants=plan_constants(layers, machine),
        beta_registers=_beta_registers(layers),
    )
