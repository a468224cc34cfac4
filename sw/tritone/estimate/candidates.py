# SPDX-License-Identifier: Apache-2.0
"""Machines that could run a network on a device: shapes, memories that hold it, area and cycles."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from tritone.compiler import MemoryNeeds, compile_network, describe, memory_needs
from tritone.estimate.area_model import AreaModel, NotMapped
from tritone.graph import Convolution, Network
from tritone.spec.area import Area, lacking
from tritone.spec.device import Device
from tritone.spec.hard_blocks import hard_blocks
from tritone.spec.machine import MOST_WORDS, ArrayKind, MachineConfig, RequantizerKind

__all__ = ["Candidate", "TooLarge", "candidate", "shapes"]

_ROWS = (8, 16, 32, 64)
_COLUMNS = (4, 8, 16, 32, 64)
_PIXELS = (1, 2, 4, 8)
_SLOTS = (4, 8)

# Accumulators: those of the presets first, wider ones where a network's sums need them.
_EVEN_BITS = {
    ArrayKind.POST: (20, 24, 28),
    ArrayKind.UNIFORM: (20, 24, 28),
    ArrayKind.POT: (23, 26, 28),
}

# A block memory of ECP5 has no fewer words.
_LEAST_WORDS = 512
_LEAST_GATHER = 64
_MOST_GATHER = 1 << 11

# Beyond what was mapped of these an estimate is a guess.
_SHAPE = ("rows", "columns", "pixels", "requantizer_slots")

# Module of each memory that can be less than a network needs: it is loaded in pieces then.
_SHRINKING = {
    "feature_words": "engine.feature_memory",
    "weight_words": "engine.weight_memory",
    "parameter_words": "engine.parameter_memory",
}


class TooLarge(ValueError):
    """A device has too little of something for a machine."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A machine that runs a network.

    Parameters
    ----------
    machine : its memories hold the network, or as much of it as fits the device.
    area : estimated.
    cycles : of an image in a long run, exact.
    """

    machine: MachineConfig
    area: Area
    cycles: int


def shapes(network: Network) -> Iterator[MachineConfig]:
    """Yield a machine of each shape and kind that could run ``network``, the least memories in it.

    Requantiser and adaptive steps are what the network is for; whether a kind has its weights and
    a shape its layers says the compiler.
    """
    convolutions = [node for node in network.nodes if isinstance(node, Convolution)]
    half = any(node.half_octaves is not None for node in convolutions)
    adaptive = any(node.gain is not None for node in convolutions)
    width = network.tensors[network.input].shape[-1] + 2 * max(
        max(node.window.pad) for node in convolutions
    )
    gather = _LEAST_GATHER
    while gather < min(width, _MOST_GATHER):
        gather *= 2
    for kind in ArrayKind:
        for rows in _ROWS:
            for columns in _COLUMNS:
                for pixels in _PIXELS:
                    for slots in _SLOTS:
                        if columns > rows or slots > columns:
                            continue
                        name = f"{kind.value}_{rows}x{columns}x{pixels}_{slots}"
                        yield MachineConfig(
                            name=name,
                            rows=rows,
                            columns=columns,
                            pixels=pixels,
                            requantizer_slots=slots,
                            feature_words=_LEAST_WORDS,
                            weight_words=_LEAST_WORDS,
                            parameter_words=_LEAST_WORDS,
                            instruction_words=_LEAST_WORDS,
                            gather_width=gather,
                            even_bits=_EVEN_BITS[kind][0],
                            array=kind,
                            requantizer=(
                                RequantizerKind.HALF_OCTAVE if half else RequantizerKind.MULTIPLIER
                            ),
                            adaptive=adaptive,
                        )


def _needs(network: Network, machine: MachineConfig) -> tuple[MachineConfig, MemoryNeeds]:
    """Return the machine with accumulators that are wide enough, and the memories it must have."""
    refusal: ValueError | None = None
    for bits in _EVEN_BITS[machine.array]:
        wide = replace(machine, even_bits=bits)
        try:
            return wide, memory_needs(network, wide)
        except ValueError as error:
            refusal = refusal or error
    assert refusal is not None
    raise refusal


def _words(need: int) -> int:
    """Return the depth of a memory of so many words."""
    return min(MOST_WORDS, max(_LEAST_WORDS, 1 << (need - 1).bit_length()))


def _require_fit(machine: MachineConfig, device: Device, model: AreaModel) -> Area:
    found = model.estimate(machine)
    for name in _SHAPE:
        if name in found.outside:
            low, high = found.outside[name]
            raise NotMapped(
                f"Machine {machine.name} must have {name} in {low}..{high}, as those that were "
                f"mapped, not {getattr(machine, name)}"
            )
    short = lacking(found.area, device)
    if short:
        raise TooLarge(f"Machine {machine.name} must fit {device.name}, not need {short[0]}")
    return found.area


def candidate(
    network: Network, machine: MachineConfig, device: Device, model: AreaModel
) -> Candidate:
    """Return ``machine`` with memories for ``network``, and what it takes.

    They hold it whole; where ``device`` has too few block memories for that the one that takes most
    of them is halved, again and again, and what it lacks is loaded for each image. Weights are
    packed where their memory is smaller then.

    Parameters
    ----------
    machine : of ``shapes``.

    Raises
    ------
    TooLarge : the device has too little of something, whatever the memories.
    NotMapped : the sweep has no machines of such a shape or kind.
    ValueError : the machine cannot run the network; the message is the compiler's.
    """
    _require_fit(machine, device, model)
    machine, needs = _needs(network, machine)
    packing = _words(needs.packed_weight) < _words(needs.weight)
    machine = replace(
        machine,
        packing=packing,
        feature_words=_words(needs.feature),
        weight_words=_words(needs.packed_weight if packing else needs.weight),
        parameter_words=_words(needs.parameter),
        instruction_words=_words(needs.instruction),
    )
    while True:
        try:
            area = _require_fit(machine, device, model)
            break
        except TooLarge:
            machine = _halved(machine, device, model)
    return Candidate(
        machine=machine,
        area=area,
        cycles=describe(compile_network(network, machine)).cycles,
    )


def _halved(machine: MachineConfig, device: Device, model: AreaModel) -> MachineConfig:
    """Return the machine with half the words in its largest memory.

    Raises
    ------
    TooLarge : there is none that could be less, or it is not memory that the device lacks.
    """
    area = model.estimate(machine).area
    blocks = hard_blocks(machine)
    largest = max(
        (name for name in _SHRINKING if getattr(machine, name) > _LEAST_WORDS),
        key=lambda name: blocks[_SHRINKING[name]][0],
        default=None,
    )
    if largest is None or area.bram <= device.bram:
        short = lacking(area, device)[0]
        raise TooLarge(f"Machine {machine.name} must fit {device.name}, not need {short}")
    changes: dict[str, Any] = {largest: getattr(machine, largest) // 2}
    return replace(machine, **changes)
