# SPDX-License-Identifier: Apache-2.0
"""What the machine dumps: the stored regions of its layers, and the tensors in them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tritone.spec.isa import LAYER
from tritone.spec.program import Program

__all__ = ["DumpedPart", "DumpedTensor", "dumped_tensors"]


@dataclass(frozen=True, kw_only=True)
class DumpedPart:
    """What one instruction of a layer stores.

    Parameters
    ----------
    word, row : channel word and row with which it begins.
    words, height : channel words, and rows of each.
    groups : output channel groups.
    """

    word: int
    row: int
    words: int
    height: int
    groups: int


@dataclass(frozen=True, kw_only=True)
class DumpedTensor:
    """The output of a layer, as the machine stores it.

    Parameters
    ----------
    name, layer : of the tensor and of the layer that makes it.
    shape : channels, height, width.
    order : which channel stands at each place.
    wide : 16-bit values, in two stored pixels each.
    rows : R of the machine, bytes in a stored pixel.
    columns, pixels : C and P of the machine: channels and pixels of one write-back.
    stored_rows, stored_width : of the region.
    parts : what its instructions store, in their order.
    offset : of the region in the dump of one image.
    """

    name: str
    layer: str
    shape: tuple[int, int, int]
    order: tuple[int, ...]
    wide: bool
    rows: int
    columns: int
    pixels: int
    stored_rows: int
    stored_width: int
    parts: tuple[DumpedPart, ...]
    offset: int

    @property
    def size(self) -> int:
        """Values in the tensor."""
        return self.shape[0] * self.shape[1] * self.shape[2]

    @property
    def bytes(self) -> int:
        """Bytes of the stored region."""
        return self.stored_rows * self.stored_width * self.rows

    @property
    def write_backs(self) -> int:
        """Write-backs of the layer: output channel groups times rows times tiles."""
        channels, height, width = self.shape
        return -(-channels // self.columns) * height * -(-width // self.pixels)

    def write_back(self, channel: int, y: int, x: int) -> int:
        """Return which write-back of the layer writes that value."""
        tiles = -(-self.shape[2] // self.pixels)
        group = self.order.index(channel) // self.columns
        before = 0
        for part in self.parts:
            own = group - part.word * (self.rows // self.columns)
            if 0 <= own < part.groups and part.row <= y < part.row + part.height:
                return before + (own * part.height + y - part.row) * tiles + x // self.pixels
            before += part.groups * part.height * tiles
        raise ValueError(f"Tensor {self.name} must have channel {channel} in row {y}")

    def region(self, dump: bytes) -> bytes:
        """Return the stored region, of all parts, from the dump of one image."""
        row_bytes = self.stored_width * self.rows
        words = sum(part.words for part in self.parts if part.row == 0)
        region = np.zeros((words, self.shape[1], row_bytes), np.uint8)
        start = self.offset
        for part in self.parts:
            size = part.words * part.height * row_bytes
            stored = np.frombuffer(dump[start : start + size], np.uint8)
            region[part.word : part.word + part.words, part.row : part.row + part.height] = (
                stored.reshape(part.words, part.height, row_bytes)
            )
            start += size
        return region.tobytes()

    def decode(self, region: bytes) -> npt.NDArray[np.int64]:
        """Return the tensor, [C, H, W] in the network's order, that a stored region holds."""
        _, height, width = self.shape
        stored = np.frombuffer(region, np.uint8).reshape(-1, height, self.stored_width, self.rows)
        # [word, y, x, lane] -> [word, lane, y, x]: channel = word * R + lane
        planes = (
            stored.transpose(0, 3, 1, 2).reshape(-1, height, self.stored_width).astype(np.int64)
        )
        if self.wide:
            low, high = planes[..., 0::2], planes[..., 1::2]
            planes = (low | high << 8) - (high >> 7 << 16)
        return planes[np.argsort(self.order), :, :width]


def dumped_tensors(program: Program) -> tuple[DumpedTensor, ...]:
    """Return the tensors that ``program`` dumps for an image, in the order of their layers.

    Raises
    ------
    ValueError : the program's metadata and its instructions do not say the same.
    """
    return tuple(_tensors(program, program.metadata["tensors"]))


def _tensors(program: Program, entries: Sequence[dict[str, Any]]) -> Iterator[DumpedTensor]:
    words = program.instruction_words()
    machine = program.machine
    offset = 0
    for entry in entries:
        slices = [LAYER.unpack(words[index]) for index in entry["instructions"]]
        layer = slices[0]
        channels, height, width = entry["shape"]
        tensor = DumpedTensor(
            name=entry["name"],
            layer=entry["layer"],
            shape=(channels, height, width),
            order=tuple(range(channels) if entry["order"] is None else entry["order"]),
            wide=entry["wide"],
            rows=machine.rows,
            columns=machine.columns,
            pixels=machine.pixels,
            stored_rows=sum(each["stored_rows"] for each in slices),
            stored_width=layer["out_width"] << layer["wide"],
            parts=tuple(
                DumpedPart(
                    word=word,
                    row=row,
                    words=each["stored_rows"] // each["out_height"],
                    height=each["out_height"],
                    groups=each["out_channels"],
                )
                for (word, row), each in zip(entry["parts"], slices, strict=True)
            ),
            offset=offset,
        )
        if tensor.bytes != entry["bytes"] or layer["wide"] != tensor.wide:
            raise ValueError(
                f"Layer {tensor.layer} must store what the metadata says, {entry['bytes']} bytes, "
                f"not {tensor.bytes}"
            )
        offset += tensor.bytes
        yield tensor
