# SPDX-License-Identifier: Apache-2.0
"""Dumped regions decode to the tensors that docs/machine.md lays out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tritone.compiler import compile_network
from tritone.graph import Network, PoolKind
from tritone.spec.machine import preset
from tritone.spec.program import Program
from tritone_sim.dump import DumpedPart, DumpedTensor, dumped_tensors

ROWS, COLUMNS, PIXELS = 16, 8, 2
TENSOR = DumpedTensor(
    name="t",
    layer="l",
    shape=(21, 3, 5),
    order=tuple(range(21)),
    wide=False,
    rows=ROWS,
    columns=COLUMNS,
    pixels=PIXELS,
    stored_rows=2 * 3,
    stored_width=5,
    parts=(DumpedPart(word=0, row=0, words=2, height=3, groups=3),),
    offset=7,
)
WIDE = replace(TENSOR, wide=True, stored_width=10)


def place(tensor: DumpedTensor, channel: int, y: int, x: int) -> int:
    """Return where docs/machine.md stores a value: word, row, pixel, lane."""
    word, lane = divmod(channel, ROWS)
    return ((word * tensor.shape[1] + y) * tensor.stored_width + x) * ROWS + lane


def test_bytes_are_channel_word_row_pixel_lane() -> None:
    """Every value of a narrow tensor is the byte at its place; other lanes are ignored."""
    values = np.random.default_rng(1).integers(0, 256, TENSOR.shape)
    region = bytearray(np.random.default_rng(2).bytes(TENSOR.bytes))
    for (channel, y, x), value in np.ndenumerate(values):
        region[place(TENSOR, channel, y, x)] = value
    assert np.array_equal(TENSOR.decode(bytes(region)), values)
    dump = bytes(7) + bytes(region) + bytes(9)
    assert TENSOR.region(dump) == bytes(region)


def test_channels_come_in_the_order_of_the_network() -> None:
    """Place i holds channel order[i], and is written with the places beside it."""
    order = tuple(np.random.default_rng(3).permutation(21).tolist())
    tensor = replace(TENSOR, order=order)
    region = np.random.default_rng(2).bytes(TENSOR.bytes)
    stored, values = TENSOR.decode(region), tensor.decode(region)
    for index, channel in enumerate(order):
        assert np.array_equal(values[channel], stored[index])
        assert tensor.write_back(channel, 1, 2) == TENSOR.write_back(index, 1, 2)


def test_wide_values_are_two_pixels_in_twos_complement() -> None:
    """Low bytes lie at pixel 2x, high bytes at 2x + 1."""
    values = np.random.default_rng(3).integers(-(1 << 15), 1 << 15, WIDE.shape)
    values[0, 0, :2] = (-(1 << 15), (1 << 15) - 1)
    region = bytearray(WIDE.bytes)
    for (channel, y, x), value in np.ndenumerate(values):
        low, high = int(value).to_bytes(2, "little", signed=True)
        region[place(WIDE, channel, y, 2 * x)] = low
        region[place(WIDE, channel, y, 2 * x + 1)] = high
    assert np.array_equal(WIDE.decode(bytes(region)), values)


def test_write_backs_are_numbered_in_the_order_of_the_machine() -> None:
    """Group by group of C channels, row by row, tile by tile of P pixels."""
    channels, height, width = TENSOR.shape
    order = [
        (group, y, tile)
        for group in range(3)  # 21 channels in groups of 8
        for y in range(height)
        for tile in range(3)  # 5 pixels in tiles of 2
    ]
    assert TENSOR.write_backs == len(order)
    for channel in range(channels):
        for y in range(height):
            for x in range(width):
                index = order.index((channel // COLUMNS, y, x // PIXELS))
                assert TENSOR.write_back(channel, y, x) == index


def test_offsets_follow_each_other(random_network: Callable[..., Network], spec: Any) -> None:
    """The regions of a program fill the dump of an image without gaps, layer by layer."""
    layers = [spec(out=9), spec(kind=PoolKind.MAX, kernel=(2, 2)), spec(out=3, wide=True)]
    program = compile_network(random_network((1, 8, 8), layers), preset("tiny"))
    tensors = dumped_tensors(program)
    assert [tensor.shape for tensor in tensors] == [(9, 6, 6), (9, 5, 5), (3, 3, 3)]
    # Two words of 8 channels; two words; one word with two pixels a value.
    assert [tensor.bytes for tensor in tensors] == [2 * 36 * 8, 2 * 25 * 8, 9 * 2 * 8]
    assert [tensor.offset for tensor in tensors] == [0, 576, 576 + 400]
    assert [tensor.size for tensor in tensors] == [324, 225, 27]


def test_metadata_must_agree_with_the_instructions(
    random_network: Callable[..., Network], spec: Any
) -> None:
    """A program that says one thing and stores another is refused."""
    program = compile_network(random_network((1, 8, 8), [spec(out=9)]), preset("tiny"))
    (entry,) = program.metadata["tensors"]
    wrong = Program(
        machine=program.machine,
        instructions=program.instructions,
        payload=program.payload,
        metadata=program.metadata | {"tensors": [entry | {"bytes": entry["bytes"] + 8}]},
    )
    with pytest.raises(ValueError, match=r"^Layer layer0 must store what the metadata says, 584 "):
        dumped_tensors(wrong)


def test_parts_are_put_together() -> None:
    """Two stripes of both channel words, and the last row word by word: as if stored at once."""
    parts = (
        DumpedPart(word=0, row=0, words=2, height=2, groups=3),
        DumpedPart(word=0, row=2, words=1, height=1, groups=2),
        DumpedPart(word=1, row=2, words=1, height=1, groups=1),
    )
    striped = replace(TENSOR, parts=parts)
    whole = np.random.default_rng(0).integers(0, 256, (2, 3, 5 * ROWS)).astype(np.uint8)
    pieces = [whole[:, :2], whole[:1, 2:], whole[1:, 2:]]
    dump = bytes(7) + b"".join(piece.tobytes() for piece in pieces)
    assert striped.region(dump) == whole.tobytes()
    # Two groups a word, three tiles a row: two rows of three groups come first.
    assert striped.write_back(0, 1, 4) == 1 * 3 + 2
    assert striped.write_back(20, 0, 0) == 2 * 2 * 3
    assert striped.write_back(9, 2, 2) == 18 + 1 * 3 + 1
    assert striped.write_back(16, 2, 0) == 18 + 6
