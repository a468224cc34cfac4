# SPDX-License-Identifier: Apache-2.0
"""Tensors that lie in external memory: the image, the result, and what the chip has no room for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tritone.compiler.tile import Region
from tritone.spec.isa import Base
from tritone.spec.machine import BEAT_BYTES, MachineConfig

__all__ = ["Outside", "lay_out"]


@dataclass(frozen=True, kw_only=True)
class Outside:
    """A tensor in external memory: channel word, row, pixel.

    Parameters
    ----------
    base : what the offset counts from; PROGRAM: from the first byte behind what LOADs name there.
    offset : bytes.
    height, width : rows of a channel word and stored pixels of a row.
    pixel_bits : log2 of the bytes of a pixel.
    """

    base: Base
    offset: int
    height: int
    width: int
    pixel_bits: int

    def at(self, word: int, row: int) -> int:
        """Return the offset of a row of a channel word."""
        return self.offset + ((word * self.height + row) * self.width << self.pixel_bits)

    def loaded(self, rows: range) -> range:
        """Return ``rows`` and those before them from which on a LOAD can begin, at a whole beat."""
        first = rows.start
        while (first * self.width << self.pixel_bits) % BEAT_BYTES:
            first -= 1
        return range(first, rows.stop)


def lay_out(
    regions: Mapping[str, Region],
    lives: Mapping[str, tuple[int, int]],
    machine: MachineConfig,
) -> tuple[dict[str, Outside], int]:
    """Return where tensors lie behind the program, and the bytes that they take.

    Parameters
    ----------
    regions : of the tensors, in the order in which they are made.
    lives : the layer that makes a tensor and the last one that reads it.
    """
    places: dict[str, Outside] = {}
    top = 0
    for name, region in regions.items():
        size = region.rows * region.width * machine.rows
        taken = sorted(
            (place.offset, place.at(regions[other].channels, 0))
            for other, place in places.items()
            if lives[other][1] >= lives[name][0]
        )
        offset = 0
        for begin, end in taken:
            if offset + size <= begin:
                break
            offset = max(offset, end)
        places[name] = Outside(
            base=Base.PROGRAM,
            offset=offset,
            height=region.height,
            width=region.width,
            pixel_bits=machine.rows.bit_length() - 1,
        )
        top = max(top, offset + size)
    return places, top
