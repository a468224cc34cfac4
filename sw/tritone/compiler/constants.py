# SPDX-License-Identifier: Apache-2.0
"""Weights and parameters in their memories: all of them for good, or block after block.

What exceeds a memory is cut into blocks of at most half of it, that each image loads again. They
lie at its two ends in turn, so that a block is loaded while the one before it is used. A layer
whose constants alone take more is cut into slices of its output groups, an instruction each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import lcm

from tritone.compiler.tile import TiledLayer
from tritone.spec.codebook import Codebook
from tritone.spec.machine import ArrayKind, MachineConfig

__all__ = ["Block", "Constants", "Slice", "WeightRun", "plan_constants"]


@dataclass(frozen=True)
class Slice:
    """Output groups ``first .. first + groups - 1`` of a layer: what an instruction computes."""

    layer: int
    first: int
    groups: int


@dataclass(frozen=True)
class Block:
    """Constants that lie in a memory together.

    Parameters
    ----------
    first, last : slices that use them.
    base, words : where they lie.
    """

    first: int
    last: int
    base: int
    words: int

    def overlaps(self, other: Block) -> bool:
        """Return whether the two share words."""
        return self.base < other.base + other.words and other.base < self.base + self.words


@dataclass(frozen=True)
class WeightRun:
    """The weights of a block in a codebook: its planes, each the slices one behind the other.

    Parameters
    ----------
    book : the codebook.
    slices : indices of the slices.
    base : first word.
    plane_words : words of a plane; pass p fills the words from ``base + p * plane_words`` on.
    """

    book: Codebook
    slices: tuple[int, ...]
    base: int
    plane_words: int


@dataclass(frozen=True, kw_only=True)
class Constants:
    """Where the constants of a program lie.

    Parameters
    ----------
    slices : in the order of execution.
    weights, parameters : blocks in the order of their use; a single one stays for all images.
    weight_runs : of each block of weights, in the order of their words.
    weight_bases, parameter_bases : first word of each slice.
    plane_words : weight words from a plane to the next of each slice.
    """

    slices: tuple[Slice, ...]
    weights: tuple[Block, ...]
    parameters: tuple[Block, ...]
    weight_runs: tuple[tuple[WeightRun, ...], ...]
    weight_bases: Sequence[int]
    parameter_bases: Sequence[int]
    plane_words: Sequence[int]


def _cut(
    layers: Sequence[TiledLayer],
    memories: Sequence[tuple[str, Sequence[int], int]],
    unit_words: int,
) -> tuple[Slice, ...]:
    """Return the slices of all layers.

    A slice begins with a channel word of the output and of a walk of its own. One that exceeds half
    of a memory is a single such unit.

    Parameters
    ----------
    memories : name, words of each layer's output groups, and words that are there.
    unit_words : output groups in a channel word.
    """
    totals = [
        sum(each.groups * size for each, size in zip(layers, sizes, strict=True))
        for _, sizes, _ in memories
    ]
    slices = []
    for index, tiled in enumerate(layers):
        turn = tiled.reach.turn
        unit = unit_words if turn >= tiled.groups else lcm(turn, unit_words)
        least = min(unit, tiled.groups)
        units = most = -(-tiled.groups // unit)
        for (thing, sizes, there), total in zip(memories, totals, strict=True):
            needed = least * sizes[index]
            if needed > there:
                groups = "one output group" if least == 1 else f"{least} output groups"
                raise ValueError(
                    f"Layer {tiled.layer.name} must fit {there} {thing} with {groups}, not {needed}"
                )
            if total > there and needed:
                most = min(most, max(1, there // 2 // needed))
        step = -(-units // -(-units // most)) * unit
        slices += [
            Slice(index, first, min(step, tiled.groups - first))
            for first in range(0, tiled.groups, step)
        ]
    return tuple(slices)


def _halve(blocks: list[list[int]], sizes: Sequence[int]) -> None:
    """Split the largest block that can be split into two with words, if there is one."""
    best: tuple[int, int, int] | None = None
    for number, block in enumerate(blocks):
        total = sum(sizes[index] for index in block)
        for cut in range(1, len(block)):
            least = min(part := sum(sizes[index] for index in block[:cut]), total - part)
            if least and (best is None or least > best[0]):
                best = least, number, cut
    if best is not None:
        _, number, cut = best
        blocks[number : number + 1] = [blocks[number][:cut], blocks[number][cut:]]


def _blocks(sizes: Sequence[int], there: int) -> tuple[Block, ...]:
    """Return the blocks of slices that take ``sizes`` words of the ``there`` of a memory.

    Their number is even where that is possible: the last one and the first one, which the next
    image loads again, then lie at different ends.
    """
    if sum(sizes) <= there:
        return (Block(0, len(sizes) - 1, 0, sum(sizes)),)
    members: list[list[int]] = [[]]
    for index, size in enumerate(sizes):
        held = sum(sizes[each] for each in members[-1])
        if held and held + size > there // 2:
            members.append([])
        members[-1].append(index)
    if len(members) % 2:
        _halve(members, sizes)
    blocks = []
    for number, block in enumerate(members):
        words = sum(sizes[index] for index in block)
        blocks.append(Block(block[0], block[-1], (there - words) * (number % 2), words))
    return tuple(blocks)


def _runs(
    block: Block, slices: Sequence[Slice], layers: Sequence[TiledLayer], array: ArrayKind
) -> tuple[WeightRun, ...]:
    """Return where the weights of each codebook lie in a block: a pass of it takes one LOAD."""
    members: dict[str, list[int]] = {}
    books: dict[str, Codebook] = {}
    for index in range(block.first, block.last + 1):
        weights = layers[slices[index].layer].layer.weights
        if weights is not None:
            books[weights.book.name] = weights.book
            members.setdefault(weights.book.name, []).append(index)
    runs, base = [], block.base
    for name, indices in members.items():
        words = sum(
            slices[index].groups * layers[slices[index].layer].group_words for index in indices
        )
        runs.append(WeightRun(books[name], tuple(indices), base, words))
        base += words * len(books[name].plan(array).passes)
    return tuple(runs)


def plan_constants(layers: Sequence[TiledLayer], machine: MachineConfig) -> Constants:
    """Return where the weights and parameters of ``layers`` lie in the memories of ``machine``.

    Raises
    ------
    ValueError : a memory holds not even those of the least slice of a layer; the message names the
        layer.
    """
    weight_sizes = [each.planes * each.group_words for each in layers]
    parameter_sizes = [machine.requantizer_slots] * len(layers)
    slices = _cut(
        layers,
        (
            ("weight words", weight_sizes, machine.weight_words),
            ("parameter words", parameter_sizes, machine.parameter_words),
        ),
        machine.word_columns,
    )
    weights = _blocks(
        [each.groups * weight_sizes[each.layer] for each in slices], machine.weight_words
    )
    counts = [each.groups * parameter_sizes[each.layer] for each in slices]
    parameters = _blocks(counts, machine.parameter_words)
    runs = tuple(_runs(block, slices, layers, machine.array) for block in weights)
    weight_bases, plane_words = [0] * len(slices), [0] * len(slices)
    for run in (run for block in runs for run in block):
        top = run.base
        for index in run.slices:
            weight_bases[index], plane_words[index] = top, run.plane_words
            top += slices[index].groups * layers[slices[index].layer].group_words
    return Constants(
        slices=slices,
        weights=weights,
        parameters=parameters,
        weight_runs=runs,
        weight_bases=weight_bases,
        parameter_bases=[
            block.base + sum(counts[block.first : index])
            for block in parameters
            for index in range(block.first, block.last + 1)
        ],
        plane_words=plane_words,
    )
