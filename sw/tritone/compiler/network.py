# SPDX-License-Identifier: Apache-2.0
"""A network compiled for a machine."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tritone.compiler.align import align
from tritone.compiler.allocate import Allocation, allocate
from tritone.compiler.emit import emit
from tritone.compiler.fold import Layer, fold
from tritone.compiler.gather import Windows, gather
from tritone.compiler.tile import TiledLayer, tile
from tritone.graph import Network
from tritone.spec.isa import INSTRUCTION_BEATS
from tritone.spec.machine import MOST_WORDS, MachineConfig
from tritone.spec.program import Program

__all__ = ["MemoryNeeds", "compile_network", "memory_needs"]


@dataclass(frozen=True, kw_only=True)
class MemoryNeeds:
    """Words of its memories that a machine must have to hold a network whole.

    Parameters
    ----------
    feature, weight, parameter, instruction : words of each memory.
    packed_weight : words of weights on a machine that packs them.
    """

    feature: int
    weight: int
    parameter: int
    instruction: int
    packed_weight: int


def compile_network(network: Network, machine: MachineConfig) -> Program:
    """Return the program that runs ``network`` on ``machine``.

    Of these the first that fits: windows of the image are gathered and the next image is loaded
    beside the layers; only gathered; only beside; neither; and with tensors outside, that are
    loaded and stored in stripes, first gathered and then not.

    Raises
    ------
    ValueError : something does not fit; the message names the layer, what it needs and what the
        machine has.
    """
    program, _, _ = _compile(network, machine)
    return program


def memory_needs(network: Network, machine: MachineConfig) -> MemoryNeeds:
    """Return the memories with which nothing is loaded again for an image, nor goes outside.

    That is with what makes programs fast: the image gathered where that can be, and two places for
    it and for the result. Where no machine has such a memory it needs more than MOST_WORDS.

    Parameters
    ----------
    machine : its memories are not looked at.

    Raises
    ------
    ValueError : the machine cannot run the network, however large its memories.
    """
    large = replace(
        machine,
        feature_words=MOST_WORDS,
        weight_words=MOST_WORDS,
        parameter_words=MOST_WORDS,
        instruction_words=MOST_WORDS,
    )
    program, layers, allocation = _compile(network, large)
    features = allocation.features
    places = [*features.places.values(), *features.images, *features.results]
    return MemoryNeeds(
        feature=MOST_WORDS + 1 if features.outside else max(place.end for place in places),
        weight=sum(tiled.groups * tiled.storage.memory_words for tiled in layers),
        parameter=sum(tiled.groups for tiled in layers) * machine.requantizer_slots,
        instruction=program.instructions * INSTRUCTION_BEATS,
        packed_weight=sum(tiled.groups * tiled.storage.packed_words for tiled in layers),
    )


def _compile(
    network: Network, machine: MachineConfig
) -> tuple[Program, list[TiledLayer], Allocation]:
    """Return the program, and from what it was made."""
    aligned, orders = align(network)
    plain = fold(aligned, machine.requantizer)
    forms: list[tuple[Windows | None, list[Layer]]] = [(None, plain)]
    gathered = gather(plain, machine)
    if gathered is not None:
        forms.insert(0, gathered)
    refusal: ValueError
    for spill, choices in ((False, (2, 1)), (True, (1,))):
        for windows, layers in forms:
            for images in choices:
                try:
                    tiled = [tile(layer, machine) for layer in layers]
                    places = allocate(tiled, machine, images, windows=windows, spill=spill)
                    program = emit(network.name, tiled, places, machine, windows, orders)
                    return program, tiled, places
                except ValueError as error:
                    refusal = error
    raise refusal
