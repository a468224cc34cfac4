# SPDX-License-Identifier: Apache-2.0
"""Weights and parameters in their memories: all of them for good, or block after block.

What exceeds a memory is cut into blocks of at most half of it, that each image loads again. They
lie at its two ends in turn, so that a block is loaded while the one before it is used. A layer
whose constants alone take more is cut into slices of its output groups, an instruction each.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain
from math import lcm

from tritone.compiler.tile import TiledLayer
from tritone.spec.catalog import codebook
from tritone.spec.codebook import Codebook
from tritone.spec.machine import MachineConfig
from tritone.spec.packing import TERM_WORDS, TERMS, Packing

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
    """The weights of a block that are stored alike: pass by pass, the slices behind each other.

    Parameters
    ----------
    book : their codebook.
    slices : indices of the slices.
    bases : first word of each pass.
    words : of each pass.
    """

    book: Codebook
    slices: tuple[int, ...]
    bases: tuple[int, ...]
    words: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Constants:
    """Where the constants of a program lie.

    Parameters
    ----------
    slices : in the order of execution.
    weights, parameters : blocks in the order of their use; a single one stays for all images.
    weight_runs : of each block of weights, in the order of their words.
    weight_bases : first word of each pass of each slice.
    parameter_bases : first word of each slice.
    terms : TERMS records, what packed weights stand for.
    term_bases : which of these each slice has; 0 for one without packed weights.
    """

    slices: tuple[Slice, ...]
    weights: tuple[Block, ...]
    parameters: tuple[Block, ...]
    weight_runs: tuple[tuple[WeightRun, ...], ...]
    weight_bases: Sequence[tuple[int, ...]]
    parameter_bases: Sequence[int]
    terms: Sequence[int]
    term_bases: Sequence[int]


@dataclass(frozen=True)
class _Memory:
    """A memory of constants.

    Parameters
    ----------
    thing : what it holds.
    words : words that are there.
    sizes : words that an output group of each layer takes.
    packed : the same on a machine that packs weights, if that could be any less.
    """

    thing: str
    words: int
    sizes: Sequence[int]
    packed: Sequence[int] = ()


def _cut(
    layers: Sequence[TiledLayer], memories: Sequence[_Memory], unit_words: int
) -> tuple[Slice, ...]:
    """Return the slices of all layers.

    A slice begins with a channel word of the output and of a walk of its own. One that exceeds half
    of a memory is a single such unit.

    Parameters
    ----------
    memories : of the constants.
    unit_words : output groups in a channel word.
    """
    totals = [
        sum(each.groups * size for each, size in zip(layers, memory.sizes, strict=True))
        for memory in memories
    ]
    slices = []
    for index, tiled in enumerate(layers):
        turn = tiled.reach.turn
        unit = unit_words if turn >= tiled.groups else lcm(turn, unit_words)
        least = min(unit, tiled.groups)
        units = most = -(-tiled.groups // unit)
        for memory, total in zip(memories, totals, strict=True):
            needed, there = least * memory.sizes[index], memory.words
            if needed > there:
                groups = "one output group" if least == 1 else f"{least} output groups"
                packed = least * (memory.packed[index] if memory.packed else needed)
                remedy = f"; packing = true makes them {packed}" if packed <= there else ""
                raise ValueError(
                    f"Layer {tiled.layer.name} must fit {there} {memory.thing} with {groups}, "
                    f"not {needed}{remedy}"
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
    block: Block, slices: Sequence[Slice], layers: Sequence[TiledLayer]
) -> tuple[WeightRun, ...]:
    """Return where the weights of each codebook lie in a block: a pass of it takes one LOAD.

    Those of a codebook that are packed otherwise take another one.
    """
    members: dict[tuple[str, tuple[Packing, ...]], list[int]] = {}
    for index in range(block.first, block.last + 1):
        tiled = layers[slices[index].layer]
        if tiled.layer.weights is not None:
            key = tiled.layer.weights.book.name, tiled.storage.packings
            members.setdefault(key, []).append(index)
    runs, base = [], block.base
    for (name, packings), indices in members.items():
        parts = [(layers[slices[index].layer].storage, slices[index].groups) for index in indices]
        words = tuple(
            sum(storage.pass_words(number, groups) for storage, groups in parts)
            for number in range(len(packings))
        )
        bases = tuple(base + before for before in accumulate((0, *words[:-1])))
        runs.append(WeightRun(codebook(name), tuple(indices), bases, words))
        base += sum(words)
    return tuple(runs)


def _weight_bases(
    runs: Iterable[WeightRun], slices: Sequence[Slice], layers: Sequence[TiledLayer]
) -> list[tuple[int, ...]]:
    """Return the first word of each pass of each slice."""
    bases: list[tuple[int, ...]] = [()] * len(slices)
    for run in runs:
        tops = run.bases
        for index in run.slices:
            storage, groups = layers[slices[index].layer].storage, slices[index].groups
            bases[index] = tops
            tops = tuple(
                top + storage.pass_words(number, groups) for number, top in enumerate(tops)
            )
    return bases


def _terms(
    layers: Sequence[TiledLayer], slices: Sequence[Slice]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the TERMS records of all packed layers, and which of these each slice has."""
    records: list[int] = []
    bases = []
    for part in slices:
        storage = layers[part.layer].storage
        if not storage.packed:
            bases.append(0)
            continue
        values = dict.fromkeys((field.name for field in TERMS.fields), 0)
        for plane, each in enumerate(storage.terms):
            for name, value in zip(("base", "low", "high"), each.fields, strict=True):
                values[f"plane{plane}_{name}"] = value
        record = TERMS.pack(values)
        if record not in records:
            records.append(record)
        bases.append(records.index(record))
    # The catalog has fewer codebooks that can be packed.
    assert len(records) <= TERM_WORDS
    return tuple(records), tuple(bases)


def plan_constants(layers: Sequence[TiledLayer], machine: MachineConfig) -> Constants:
    """Return where the weights and parameters of ``layers`` lie in the memories of ``machine``.

    Raises
    ------
    ValueError : a memory holds not even those of the least slice of a layer; the message names the
        layer.
    """
    weight_sizes = [each.storage.memory_words for each in layers]
    parameter_sizes = [machine.requantizer_slots] * len(layers)
    slices = _cut(
        layers,
        (
            _Memory(
                "weight words",
                machine.weight_words,
                weight_sizes,
                [each.storage.packed_words for each in layers],
            ),
            _Memory("parameter words", machine.parameter_words, parameter_sizes),
        ),
        machine.word_columns,
    )
    weights = _blocks(
        [each.groups * weight_sizes[each.layer] for each in slices], machine.weight_words
    )
    counts = [each.groups * parameter_sizes[each.layer] for each in slices]
    parameters = _blocks(counts, machine.parameter_words)
    runs = tuple(_runs(block, slices, layers) for block in weights)
    terms, term_bases = _terms(layers, slices)
    return Constants(
        slices=slices,
        weights=weights,
        parameters=parameters,
        weight_runs=runs,
        weight_bases=_weight_bases(chain.from_iterable(runs), slices, layers),
        parameter_bases=[
            block.base + sum(counts[block.first : index])
            for block in parameters
            for index in range(block.first, block.last + 1)
        ],
        terms=terms,
        term_bases=term_bases,
    )
