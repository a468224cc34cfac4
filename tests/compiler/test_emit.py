# SPDX-License-Identifier: Apache-2.0
"""Instructions, loads, waits and metadata of a program; damaged files are refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tritone.compiler import compile_network
from tritone.compiler.allocate import allocate
from tritone.compiler.emit import emit
from tritone.compiler.fold import fold
from tritone.compiler.tile import tile
from tritone.graph import Network, PoolKind
from tritone.spec.catalog import codebook
from tritone.spec.isa import (
    HEADER,
    LAYER,
    LOAD,
    NEXT,
    PARAMETER,
    RECORDS,
    STORE,
    Base,
    MemoryId,
    Opcode,
)
from tritone.spec.machine import ArrayKind, preset
from tritone.spec.program import Program

TINY = preset("tiny-p2")


@pytest.fixture
def network(spec: Any, random_network: Callable[..., Network]) -> Network:
    """Two convolutions around a pool, ending in wide results."""
    return random_network(
        (3, 6, 6),
        [
            spec(out=12, pad=(1, 1, 1, 1), zero=16),
            spec(kind=PoolKind.MAX, kernel=(2, 2), stride=2),
            spec(out=10, kernel=(3, 3), codebook="int8", bits=8, wide=True),
        ],
    )


@pytest.fixture
def program(network: Network) -> Program:
    """The network on a machine with P = 2."""
    return compile_network(network, TINY)


def _decode(program: Program) -> list[tuple[Opcode, dict[str, int]]]:
    mask = HEADER.fields[0].high
    return [
        (Opcode(word & mask), RECORDS[Opcode(word & mask)].unpack(word))
        for word in program.instruction_words()
    ]


def _order(program: Program) -> list[tuple[str, str]]:
    """Name of each instruction and what it waits for besides its own kind."""
    flags = {"wait_load": "load", "wait_layer": "layer", "wait_store": "store"}
    return [
        (opcode.name, " ".join(kind for flag, kind in flags.items() if fields[flag]))
        for opcode, fields in _decode(program)
    ]


def test_order_and_waits(program: Program) -> None:
    """CHECK, loads of constants and of a first image, then a body for each place of the image.

    The first layer waits for its image, STORE for the last layer; the next image is loaded beside
    all layers but the first. The first layer writes over the first of two places of the result, so
    behind the image that has used it it waits for the store.
    """
    body = [
        ("LOAD", ""),
        ("POOL", "layer"),
        ("CONVOLVE", "layer"),
        ("STORE", "layer"),
        ("NEXT", ""),
    ]
    first, second = ("CONVOLVE", "load layer"), ("CONVOLVE", "load layer store")
    assert _order(program) == [("CHECK", ""), *[("LOAD", "")] * 7, first, *body, second, *body]
    assert all(fields["reserved"] == 0 for _, fields in _decode(program))


def test_one_image_at_a_time_where_memory_is_short(
    spec: Any, random_network: Callable[..., Network]
) -> None:
    """Without room for two images, or for the instructions, each is loaded behind the last layer.

    The result of the image before may still be on its way; its words are others.
    """
    # Image and result take 12 words each; with two bodies there are 12 instructions.
    network = random_network((3, 6, 6), [spec(out=8, pad=(1, 1, 1, 1))])
    for short in (replace(TINY, feature_words=16), replace(TINY, instruction_words=64)):
        program = compile_network(network, short)
        assert _order(program) == [
            ("CHECK", ""),
            *[("LOAD", "")] * 2,
            ("LOAD", ""),
            ("CONVOLVE", "load layer store"),
            ("STORE", "layer"),
            ("NEXT", ""),
        ]
        assert _decode(program)[3][1]["source"] == Base.IMAGE
        assert _decode(program)[6][1]["target"] == 3


def test_the_loop_goes_over_images(program: Program) -> None:
    """Each NEXT goes on to the other body and advances by what one image takes."""
    decoded = _decode(program)
    image, following, other = (decoded[index][1] for index in (7, 9, 15))
    for store, after, target in ((12, 13, 14), (18, 19, 8)):
        assert decoded[store][1] | {"base": 0} == decoded[12][1] | {"base": 0}
        assert decoded[store][1]["base"] == decoded[store - 1][1]["out_base"]
        # 36 pixels of 4 bytes; 10 results of 16 bits as 2 pixels of 8 channels in 2 channel words.
        sizes = {name: decoded[after][1][name] for name in ("image_bytes", "result_bytes")}
        assert sizes == {"image_bytes": 144, "result_bytes": 32}
        assert decoded[after][1]["target"] == target
    assert LOAD.fields == RECORDS[Opcode.LOAD].fields
    expected = {"source": Base.IMAGE, "offset": 0, "memory": MemoryId.FEATURE_0, "address": 0}
    expected |= {"words": 0, "beats": 18, "width": 6, "rows": 6, "row_words": 2, "pixel_bytes": 2}
    expected |= {"kernel": 0}
    assert {name: image[name] for name in expected} == expected
    expected |= {"source": Base.NEXT_IMAGE, "offset": 144}
    assert {name: other[name] for name in expected} == expected
    # Behind the 6 rows of 2 words of the first place.
    assert {name: following[name] for name in expected} == expected | {"address": 12}
    assert [decoded[index][1]["in_base"] for index in (8, 14)] == [0, 12]
    store = decoded[12][1]
    stored = {"target": Base.RESULT, "offset": 0, "group": 1, "base": decoded[11][1]["out_base"]}
    stored |= {"width": 2, "rows": 2, "row_words": 1}
    assert {name: store[name] for name in stored} == stored
    assert {field.name for field in STORE.fields} >= set(stored)
    assert NEXT.bits == 512


def test_bodies_differ_in_the_places_of_image_and_result_only(program: Program) -> None:
    """The image lies behind the other one, the result behind all else in its group."""
    decoded = _decode(program)
    assert decoded[10] == decoded[16]
    for index, change in ((8, {"in_base": 12, "wait_store": 1}), (11, {"out_base": 24})):
        assert decoded[index][1] | change == decoded[index + 6][1]


def test_loads_cover_the_payload(program: Program) -> None:
    """The data behind the instructions is loaded without gaps, in whole words.

    Each of the two nibbles of int8 is loaded twice, through the tables of its two passes.
    """
    position = 64 * program.instructions
    bits = {
        MemoryId.PARAMETER: TINY.parameter_word_bits,
        MemoryId.WEIGHT: TINY.weight_word_bits,
    }
    # The first layer takes 2 groups of 9 words of post4, the last one 2 of 2 * 9 words of int8.
    weights = [(0, 18), (18, 36), (18 + 36, 36), (18 + 2 * 36, 36), (18 + 3 * 36, 36)]
    expected = [(MemoryId.PARAMETER, 0, (2 + 2 + 2) * 8), *((MemoryId.WEIGHT, *w) for w in weights)]
    tables = [
        each.table
        for name in ("post4", "int8")
        for each in codebook(name).plan(ArrayKind.POST).passes
    ]
    for (memory, address, words), again, (_, fields) in zip(
        expected, (False, False, False, True, False, True), _decode(program)[1:7], strict=True
    ):
        if again:
            position -= 8 * fields["beats"]
        assert (fields["source"], fields["offset"]) == (Base.PROGRAM, position)
        assert (fields["memory"], fields["address"], fields["words"]) == (memory, address, words)
        assert fields["beats"] * 64 == words * bits[memory]
        if memory == MemoryId.WEIGHT:
            assert [fields["table"] >> 4 * n & 15 for n in range(16)] == list(tables.pop(0))
        position += 8 * fields["beats"]
    assert position == len(program.payload)


def test_layers_name_their_regions(program: Program, network: Network) -> None:
    """Groups alternate, inputs lie where producers put them, read fields follow the bits."""
    layers = [_decode(program)[index][1] for index in (8, 10, 11)]
    assert [fields["in_group"] for fields in layers] == [0, 1, 0]
    for before, after in pairwise(layers):
        for mine, theirs in (
            ("in_base", "out_base"),
            ("in_width", "out_width"),
            ("in_row_words", "out_row_words"),
            ("in_plane_words", "out_plane_words"),
        ):
            assert after[mine] == before[theirs]
    first, pool, last = layers
    assert (first["read_shift"], first["read_zero"], first["read_offset"]) == (4, 128, 8)
    assert (first["read_max"], first["pad_code"], first["out_channels"]) == (15, 8, 2)
    assert (first["pad_top"], first["pad_left"], first["stride"]) == (1, 1, 1)
    assert (pool["read_shift"], pool["read_zero"], pool["read_offset"]) == (0, 16, 16)
    assert (pool["read_max"], pool["in_channels"], pool["pass_steps"]) == (255, 1, 1)
    assert (last["wide"], last["out_width"], last["pass_steps"]) == (1, 1, 8)
    # All output groups read all channel words, a pool its own.
    assert [(each["in_channels"], each["in_turn"]) for each in layers] == [(1, 2), (1, 1), (2, 2)]
    assert (last["in_channels"], last["low"], last["high"]) == (2, -(1 << 15), (1 << 15) - 1)
    assert first["shift"] == network.nodes[0].shift
    assert LAYER.fields == RECORDS[Opcode.CONVOLVE].fields


def test_unused_channels_become_the_zero(program: Program) -> None:
    """Channels 12..15 of the first layer: B = M = 0 and D = z << S."""
    loads = [fields for _, fields in _decode(program)[1:7]]
    start = next(f["offset"] for f in loads if f["memory"] == MemoryId.PARAMETER)
    shift = _decode(program)[8][1]["shift"]
    for channel in range(12, 16):
        data = program.payload[start + 16 * channel : start + 16 * channel + 16]
        record = PARAMETER.unpack(int.from_bytes(data, "little"))
        assert record == {"bias": 0, "multiplier": 0, "offset": 16 << shift}


def test_metadata_names_tensors(program: Program, network: Network) -> None:
    """One entry a layer, with what people and benches need."""
    assert program.metadata["network"] == "random"
    assert program.metadata["result"] == {"shape": [10, 1, 1], "bytes": 32}
    rows = [
        (
            each["name"],
            each["layer"],
            each["instructions"][0],
            each["wide"],
            each["bytes"],
            each["macs"],
        )
        for each in program.metadata["tensors"]
    ]
    assert rows == [
        ("tensor0", "layer0", 8, False, 2 * 36 * 8, 12 * 3 * 9 * 36),
        ("tensor1", "layer1", 10, False, 2 * 9 * 8, 0),
        ("tensor2", "layer2", 11, True, 2 * 2 * 8, 10 * 12 * 9),
    ]
    for each in program.metadata["tensors"]:
        assert tuple(each["shape"]) == network.tensors[each["name"]].shape
        assert each["order"] is None


def test_fields_that_do_not_fit_are_refused_by_name(
    spec: Any, random_network: Callable[..., Network]
) -> None:
    """A window of 64 rows, and a layer more than instruction memory holds."""
    network = random_network((1, 64, 2), [spec(out=1, kernel=(64, 1))])
    with pytest.raises(
        ValueError,
        match=r"^Layer layer0 must fit its instruction: "
        r"layer\.kernel_height must be in 0\.\.63, not 64$",
    ):
        compile_network(network, TINY)
    network = random_network((1, 4, 4), [spec(out=1, kernel=(1, 1))] * 3)
    with pytest.raises(ValueError, match=r"^Network random must fit 64 instruction words, not 72$"):
        compile_network(network, replace(TINY, instruction_words=64))


@pytest.mark.parametrize("bias", [1 << 39, -(1 << 39) - 1])
def test_a_bias_beyond_40_bits_is_refused(
    bias: int, spec: Any, random_network: Callable[..., Network]
) -> None:
    """No codebook of the catalog gets there with sums of 36 bits, so the bias is forged."""
    layers = [tile(layer, TINY) for layer in fold(random_network((1, 3, 3), [spec(out=1)]))]
    allocation = allocate(layers, TINY)
    schedule = replace(layers[0].schedule, bias=np.array([bias], np.int64))
    with pytest.raises(
        ValueError, match=rf"^Layer layer0 must have B in 40 signed bits, not {bias}\.\.{bias}$"
    ):
        emit("random", [replace(layers[0], schedule=schedule)], allocation, TINY)


def test_files_that_are_not_whole_are_refused(program: Program, tmp_path: Path) -> None:
    """A truncated file, any edited part, and a program for another machine."""
    path = tmp_path / "program.bin"
    program.save(path)
    assert Program.load(path) == program
    data = path.read_bytes()
    path.write_bytes(data[:-1])
    with pytest.raises(ValueError, match=r"^Program must be \d+ bytes long as its header says"):
        Program.load(path)
    for place in (40, 64, 700, len(program.payload), len(data) - 1):
        edited = bytearray(data)
        edited[place] ^= 1
        path.write_bytes(bytes(edited))
        with pytest.raises(ValueError, match=r"^Program must have the SHA-256 in its header"):
            Program.load(path)
    with pytest.raises(
        ValueError, match=r"^Program must be compiled for tiny \(\w{16}\), not tiny-p2 \(\w{16}\)$"
    ):
        program.require_machine(preset("tiny"))


def test_equal_networks_give_equal_programs(network: Network, program: Program) -> None:
    """Nothing in a program depends on when or where it was compiled."""
    assert compile_network(network, TINY).to_bytes() == program.to_bytes()
