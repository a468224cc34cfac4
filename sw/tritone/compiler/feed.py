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
from tritone.spec.machine import BEAT_BYTES, MachineConfig

__all__ = ["NO_WINDOWS", "Feed", "feed_constants"]

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
class Feed:
    """The blocks of a memory in the order of their use, and the fields of the LOADs of each.

    The first block is loaded before the loop over images. If there are others, each is loaded
    behind the first instruction that uses the one before it: no layer under way reads its words
    then. Where the two share words it is loaded behind the last such instruction, and waits for it.
    The first block follows the last one, for the next image.
    """

    blocks: tuple[Block, ...]
    loads: tuple[tuple[Fields, ...], ...]

    def behind(self, index: int) -> Iterator[tuple[Fields, bool]]:
        """Yield the LOADs behind slice ``index``, and whether each follows all of it."""
        if len(self.blocks) == 1:
            return
        for number, block in enumerate(self.blocks):
            following = (number + 1) % len(self.blocks)
            shared = block.overlaps(self.blocks[following])
            if index == (block.last if shared else block.first):
                for fields in self.loads[following]:
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


def _plane(run: WeightRun, slices: Sequence[Slice], layers: Sequence[TiledLayer], p: int) -> bytes:
    """Return what the passes over the stored nibble ``p`` load."""
    parts = []
    for index in run.slices:
        part = slices[index]
        tiled = layers[part.layer]
        first = part.first * tiled.group_words
        words = tiled.weight_words[p, first : first + part.groups * tiled.group_words]
        parts.append(words.tobytes())
    return b"".join(parts)


def feed_constants(
    layers: Sequence[TiledLayer], constants: Constants, machine: MachineConfig
) -> tuple[tuple[Feed, Feed], bytes]:
    """Return how the parameters and the weights are filled, and the data.

    Offsets count from the data's beginning. Passes that look up the same nibble load it each for
    itself, through their own table.
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
        parameter_loads.append((load,))
        data += stored
    for runs in constants.weight_runs:
        loads: list[Fields] = []
        for run in runs:
            plan = run.book.plan(machine.array)
            planes = [_plane(run, constants.slices, layers, p) for p in range(plan.planes)]
            starts = [len(data) + len(planes[0]) * p for p in range(plan.planes)]
            data += b"".join(planes)
            for index, each in enumerate(plan.passes):
                address = run.base + run.plane_words * index
                start, stored = starts[each.plane], planes[each.plane]
                load = _words(MemoryId.WEIGHT, start, stored, address, run.plane_words)
                table = sum(code << (NIBBLE_BITS * n) for n, code in enumerate(each.table))
                loads.append({**load, "table": table})
        weight_loads.append(tuple(loads))
    parameters = Feed(blocks=constants.parameters, loads=tuple(parameter_loads))
    return (parameters, Feed(blocks=constants.weights, loads=tuple(weight_loads))), data
