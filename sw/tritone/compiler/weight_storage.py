# SPDX-License-Identifier: Apache-2.0
"""The weights of a layer as weight memory holds them, pass by pass, packed where that is less."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tritone.compiler.fold import Layer, Weights
from tritone.spec.fixed import NIBBLE_BITS
from tritone.spec.machine import MachineConfig
from tritone.spec.packing import Packing, PassTerms, choose_packing, find_terms

__all__ = ["WeightStorage", "store_weights"]

Nibbles = npt.NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class WeightStorage:
    """How the passes of a layer lie in weight memory.

    Parameters
    ----------
    packings : of each pass; none for a pool.
    terms : of each pass.
    group_words : words of an output group's walk, filled up to whole memory words.
    packed_words : memory words that an output group would take on a machine that packs.
    sources : for each pass which of ``planes`` it loads; passes that look up the same nibble share
        one.
    planes : nibbles, or packed codes, (plane, word of all walks, ``column * R + row``).
    """

    packings: tuple[Packing, ...]
    terms: tuple[PassTerms, ...]
    group_words: int
    packed_words: int
    sources: tuple[int, ...]
    planes: Nibbles

    @property
    def packed(self) -> bool:
        """Whether any pass is packed."""
        return any(self.packings)

    @property
    def memory_words(self) -> int:
        """Memory words of all passes of an output group."""
        return sum(self.pass_words(index, 1) for index in range(len(self.packings)))

    def pass_words(self, index: int, groups: int) -> int:
        """Return the memory words of a pass of so many output groups."""
        return groups * self.group_words // self.packings[index].words

    def stored(self, index: int, first: int, groups: int) -> bytes:
        """Return what a pass of output groups loads, memory word after memory word."""
        words = slice(first * self.group_words, (first + groups) * self.group_words)
        plane = self.planes[self.sources[index], words]
        packing = self.packings[index]
        nibbles = np.zeros((len(plane) // packing.words, plane.shape[1]), np.uint8)
        for word in range(packing.words):
            codes = plane[word :: packing.words]
            match packing:
                case Packing.NIBBLES:
                    nibbles |= codes
                case Packing.PAIRS:
                    nibbles |= (codes & 1) << word | (codes >> 1) << word + packing.words
                case Packing.BITS:
                    nibbles |= codes << word
        return (nibbles[:, 0::2] | nibbles[:, 1::2] << NIBBLE_BITS).tobytes()


def _spread(
    weights: Weights,
    stored: list[int],
    idle: int,
    shape: tuple[int, int, int],
    turn: int,
    machine: MachineConfig,
) -> Nibbles:
    """Return the words of one plane, (output group, word of its walk, ``column * R + row``).

    Parameters
    ----------
    stored : what each code of the codebook is stored as.
    idle : what lanes without a weight hold.
    shape : output groups, channel words of a walk, words of a walk with those that fill it up.
    turn : output groups that walk over the same channel words.
    """
    groups, reach_words, filled = shape
    outputs, inputs, height, width = weights.codes.shape
    made = outputs // weights.groups
    rows = reach_words * machine.rows
    # Where each weight stands: (output channel, input channel of its group). Walks begin at
    # the channel words of their turn.
    channel = np.arange(outputs)
    first = channel // machine.columns // turn * rows
    row = (channel // made * inputs - first)[:, None] + np.arange(inputs)
    nibbles = np.full((groups * machine.columns, rows, height, width), idle, np.uint8)
    nibbles[channel[:, None], row] = np.array(stored, np.uint8)[weights.codes]
    split = nibbles.reshape(groups, machine.columns, reach_words, machine.rows, height, width)
    # (group, ky, kx, channel word, column, row)
    words = split.transpose(0, 4, 5, 2, 1, 3).reshape(groups, -1, machine.columns * machine.rows)
    return np.pad(words, ((0, 0), (0, filled - words.shape[1]), (0, 0)))


def store_weights(
    layer: Layer, groups: int, reach: tuple[int, int], machine: MachineConfig
) -> WeightStorage:
    """Return how ``layer`` lies in the weight memory of ``machine``.

    A pass that has no code for nothing is packed in a layer only whose walks have a weight for each
    of their lanes. Columns behind the last channel may then hold anything: B and M are 0 there, and
    the first term, a positive one if there is any, adds no more than any channel's bound.

    Parameters
    ----------
    groups : output groups of C.
    reach : input channel words of a walk, and output groups that walk over the same ones.
    """
    weights = layer.weights
    if weights is None:
        return WeightStorage(
            packings=(),
            terms=(),
            group_words=0,
            packed_words=0,
            sources=(),
            planes=np.zeros((0, 0, machine.rows * machine.columns), np.uint8),
        )
    plan, book = weights.book.plan(machine.array), weights.book
    _, inputs, height, width = weights.codes.shape
    words, turn = reach
    walk = words * height * width
    terms = find_terms(plan, [code for code, level in enumerate(book.levels) if level is not None])
    packed, packed_walk = choose_packing(terms, walk, idle=inputs < words * machine.rows)
    packings, filled = packed, packed_walk
    if not machine.packing:
        packings, filled = (Packing.NIBBLES,) * len(terms), walk
    shape = groups, words, filled
    planes: dict[tuple[bool, int], Nibbles] = {}
    keys = []
    for index, (each, packing) in enumerate(zip(plan.passes, packings, strict=True)):
        is_packed = packing is not Packing.NIBBLES
        key = is_packed, index if is_packed else each.plane
        keys.append(key)
        if key in planes:
            continue
        stored = [nibbles[each.plane] for nibbles in plan.nibbles]
        idle = plan.idle[each.plane]
        if is_packed:
            table = terms[index].table
            codes = {term: code for code, term in reversed([*enumerate(table)])}
            # Codes without a level are not stored.
            stored = [codes.get(each.table[nibble], 0) for nibble in stored]
            idle = codes.get(terms[index].nothing, 0)
        planes[key] = _spread(weights, stored, idle, shape, turn, machine).reshape(
            groups * filled, -1
        )
    order = list(planes)
    return WeightStorage(
        packings=packings,
        terms=terms,
        group_words=filled,
        packed_words=sum(packed_walk // each.words for each in packed),
        sources=tuple(order.index(key) for key in keys),
        planes=np.stack([planes[key] for key in order]),
    )
