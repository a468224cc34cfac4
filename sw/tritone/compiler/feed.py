# SPDX-License-Identifier: Apache-2.0
"""How the memories of weights and parameters are filled: the data and the LOADs that fetch it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tritone.compiler.constants import Block, Constants, Slice, WeightRun
from tritone.compiler.parameters import parameter_words
from tritone.compiler.tile import TiledLayer
from tritone.spec.fixed import NIBBLE_BITS
from tritone.spec.isa import Base, MemoryId
from tritone.spec.machine import BEAT_BYTES, ArrayKind, MachineConfig
from tritone.spec.packing import TERMS, Packing
from tritone.spec.pass_plan import TABLE_ENTRIES

__all__ = ["NO_WINDOWS", "Feed", "Load", "feed_constants"]

Fields = Mapping[str, int]

# The fields of a LOAD of words that say nothing there.
NO_WINDOWS = dict.fromkeys(
    (
        "kernel",
        "channels",
        "stride",
        "pad_top",
        "pad_left",
        "pad_code",
        "across",
        "down",
        "plane_words",
    ),
    0,
)
_NO_PIXELS = dict.fromkeys(("width", "rows", "row_words", "pixel_bytes"), 0) | NO_WINDOWS


@dataclass(frozen=True, kw_only=True)
class Load:
    """The fields of a LOAD of constants, and the first slice that uses them."""

    slice: int
    fields: Fields


@dataclass(frozen=True, kw_only=True)
class Feed:
    """The blocks of a memory in the order of their use, and the LOADs of each.

    The first block is loaded before the loop over images. If there are others, each is loaded
    behind the first instruction that uses the one before it: no layer under way reads its words
    then. Where the two share words it is loaded behind the last such instruction, and waits for it:
    first what the block's first slice uses, and beside that the rest. The first block follows the
    last one, for the next image.
    """

    blocks: tuple[Block, ...]
    loads: tuple[tuple[Load, ...], ...]

    def _waits(self, number: int) -> bool:
        """Return whether a block shares words with the one before it."""
        return len(self.blocks) > 1 and self.blocks[number - 1].overlaps(self.blocks[number])

    def _parts(self, number: int) -> tuple[list[Fields], list[Fields]]:
        """Return what of a block is loaded before its first slice begins, and what beside it."""
        first = self.blocks[number].first if self._waits(number) else None
        beside = [each for each in self.loads[number] if first not in (None, each.slice)]
        before = [each for each in self.loads[number] if each not in beside]
        return [each.fields for each in before], [each.fields for each in beside]

    @property
    def before(self) -> list[Fields]:
        """The LOADs before the loop over images."""
        return self._parts(0)[0]

    def behind(self, index: int) -> Iterator[tuple[Fields, bool]]:
        """Yield the LOADs behind slice ``index``, and whether each follows all of it."""
        if len(self.blocks) == 1:
            return
        for number, block in enumerate(self.blocks):
            if index == block.first:
                for fields in self._parts(number)[1]:
                    yield fields, False
            following = (number + 1) % len(self.blocks)
            shared = self._waits(following)
            if index == (block.last if shared else block.first):
                for fields in self._parts(following)[0]:
                    yield fields, shared


def _words(memory: MemoryId, position: int, data: bytes, address: int, words: int) -> Fields:
    """Return the fields of a LOAD of ``words`` words from byte ``position`` of the data."""
    where = {"memory": memory, "source": Base.PROGRAM, "offset": position}
    return {
        **where,
        "address": address,
        "words": words,
        "beats": len(data) // BEAT_BYTES,
        "table": 0,
        **_NO_PIXELS,
    }


def _pass(
    run: WeightRun, slices: Sequence[Slice], layers: Sequence[TiledLayer], number: int
) -> bytes:
    """Return what a pass of a run loads."""
    parts = (slices[index] for index in run.slices)
    return b"".join(
        layers[part.layer].storage.stored(number, part.first, part.groups) for part in parts
    )


def _feed_weights(
    run: WeightRun,
    slices: Sequence[Slice],
    layers: Sequence[TiledLayer],
    position: int,
    array: ArrayKind,
) -> tuple[list[Load], bytes]:
    """Return the LOADs of a run, whose data begin at ``position``, and the data.

    Passes that look up the same nibble load it each for itself, through their own table. Packed
    codes are not looked up on their way: each nibble becomes itself.
    """
    storage = layers[slices[run.slices[0]].layer].storage
    loads: list[Load] = []
    data = b""
    starts: dict[int, tuple[int, bytes]] = {}
    for number, each in enumerate(run.book.plan(array).passes):
        source = storage.sources[number]
        if source not in starts:
            stored = _pass(run, slices, layers, number)
            starts[source] = position + len(data), stored
            data += stored
        load = _words(MemoryId.WEIGHT, *starts[source], run.bases[number], run.words[number])
        table: Sequence[int] = each.table
        if storage.packings[number] is not Packing.NIBBLES:
            table = range(TABLE_ENTRIES)
        entries = sum(code << (NIBBLE_BITS * n) for n, code in enumerate(table))
        loads.append(Load(slice=run.slices[0], fields={**load, "table": entries}))
    return loads, data


def _feed_terms(constants: Constants, position: int) -> tuple[Feed, bytes]:
    """Return how the memory of terms is filled, and the data, which begin at ``position``."""
    words = len(constants.terms)
    data = b"".join(word.to_bytes(TERMS.bits // 8, "little") for word in constants.terms)
    block = Block(0, len(constants.slices) - 1, 0, words)
    if not words:
        return Feed(blocks=(block,), loads=((),)), data
    load = Load(slice=0, fields=_words(MemoryId.TERMS, position, data, 0, words))
    return Feed(blocks=(block,), loads=((load,),)), data


def feed_constants(
    layers: Sequence[TiledLayer], constants: Constants, machine: MachineConfig
) -> tuple[tuple[Feed, ...], bytes]:
    """Return how parameters, terms and weights are filled, and the data.

    Offsets count from the data's beginning.
    """
    records = [parameter_words(tiled, machine) for tiled in layers]
    of_group = machine.requantizer_slots * machine.parameter_word_bits // 8
    data = b""
    parameter_loads, weight_loads = [], []
    for block in constants.parameters:
        stored = b"".join(
            records[part.layer][part.first * of_group : (part.first + part.groups) * of_group]
            for part in constants.slices[block.first : block.last + 1]
        )
        load = _words(MemoryId.PARAMETER, len(data), stored, block.base, block.words)
        parameter_loads.append((Load(slice=block.first, fields=load),))
        data += stored
    terms, stored = _feed_terms(constants, len(data))
    data += stored
    for runs in constants.weight_runs:
        loads: list[Load] = []
        for run in runs:
            more, stored = _feed_weights(run, constants.slices, layers, len(data), machine.array)
            loads += more
            data += stored
        weight_loads.append(tuple(loads))
    parameters = Feed(blocks=constants.parameters, loads=tuple(parameter_loads))
    weights = Feed(blocks=constants.weights, loads=tuple(weight_loads))
    return (parameters, terms, weights), data
