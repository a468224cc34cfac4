# SPDX-License-Identifier: Apache-2.0
"""A first layer of few channels reads windows, and computes what it did."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tritone.compiler import compile_network, describe, pack_images
from tritone.compiler.fold import fold
from tritone.compiler.gather import gather
from tritone.golden import layers
from tritone.golden.machine import GoldenMachine
from tritone.graph import Network
from tritone.spec.isa import LOAD, Base, Opcode
from tritone.spec.machine import MachineConfig, preset
from tritone.spec.program import Program

EDGE = (1, 1, 1, 1)
HALF = MachineConfig(name="half", rows=16, columns=8, pixels=2)
MACHINES = [preset("tiny"), preset("tiny-p4"), HALF]


def _image_load(program: Program) -> dict[str, int]:
    """Return the LOAD of the first image."""
    words = [word for word in program.instruction_words() if word & 15 == Opcode.LOAD]
    return next(fields for fields in map(LOAD.unpack, words) if fields["source"] == Base.IMAGE)


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("pad", [EDGE, (0, 2, 1, 0), (0, 0, 0, 0)], ids=str)
def test_windows_give_what_the_layers_do(
    machine: MachineConfig,
    channels: int,
    stride: int,
    pad: tuple[int, int, int, int],
    spec: Any,
    random_network: Callable[..., Network],
) -> None:
    """Any zero and any pad code: three images, one behind the other."""
    layer = spec(out=12, codebook="int8", bits=8, stride=stride, pad=pad, pad_code=77, zero=16)
    network = random_network((channels, 6, 7), [layer, spec(out=9, pad=EDGE)], seed=channels)
    program = compile_network(network, machine)
    assert _image_load(program)["kernel"] == 3
    images = np.random.default_rng(1).integers(0, 256, (3, channels, 6, 7)).astype(np.uint8)
    size, data = program.metadata["image"]["bytes"], pack_images(images, program)
    packed = [data[start : start + size] for start in range(0, len(data), size)]
    golden = GoldenMachine(program)
    expected = layers.run(network, images)
    for number, image in enumerate(packed):
        following = packed[number + 1] if number < 2 else None
        for entry, got in zip(
            program.metadata["tensors"], golden.run(image, following), strict=True
        ):
            assert (got == expected[entry["name"]][number]).all()


def test_a_window_takes_the_steps_of_its_channels(
    spec: Any, random_network: Callable[..., Network]
) -> None:
    """27 taps in 2 words of 16, 9 in one, where without windows there are 9 steps."""
    for channels, steps in ((1, 1), (3, 2), (4, 3)):
        network = random_network((channels, 4, 4), [spec(out=8, codebook="post4", bits=8)])
        (cost,) = describe(compile_network(network, HALF)).layers
        # 2 rows of a tile of 2 pixels; a pass for each nibble.
        assert cost.array_cycles == 2 * 2 * steps


def test_fields_of_the_load(spec: Any, random_network: Callable[..., Network]) -> None:
    """7 columns with 1 of padding on the left reach to 9 with stride 2."""
    layer = spec(out=8, codebook="int8", bits=8, stride=2, pad=(2, 1, 0, 1), pad_code=5)
    program = compile_network(random_network((3, 6, 7), [layer]), HALF)
    fields = _image_load(program)
    # 3 rows and 4 columns of windows, 4 banks, 27 bytes in 2 words.
    expected = {"kernel": 3, "channels": 3, "stride": 2, "pad_top": 2, "pad_left": 1}
    expected |= {"pad_code": 5, "across": 9, "down": 8, "row_words": 1, "plane_words": 3}
    expected |= {"width": 7, "rows": 6, "pixel_bytes": 2, "beats": 21}
    assert {name: fields[name] for name in expected} == expected


def test_what_cannot_or_need_not_be_gathered(
    spec: Any, random_network: Callable[..., Network]
) -> None:
    """Few bits, other windows, many channels, wide images, an image that is read again."""
    machine = preset("tiny")
    wide = spec(out=8, codebook="int8", bits=8, pad=EDGE)
    others = [
        ((1, 5, 5), replace(wide, bits=4)),
        ((1, 5, 5), replace(wide, kernel=(5, 5))),
        ((1, 5, 5), replace(wide, kernel=(1, 1), pad=(0, 0, 0, 0))),
        ((5, 5, 5), wide),
        ((1, 3, 63), wide),
    ]
    for shape, layer in others:
        assert gather(fold(random_network(shape, [layer])), machine) is None
    assert gather(fold(random_network((1, 3, 62), [wide])), machine) is not None

    network = random_network((8, 5, 5), [replace(wide, out=8), wide])
    again = replace(network.nodes[1], input=network.input)
    assert gather(fold(replace(network, nodes=(network.nodes[0], again))), machine) is None
    small = random_network((4, 5, 5), [replace(wide, out=4), replace(wide, out=4)])
    again = replace(small.nodes[1], input=small.input)
    assert gather(fold(small), machine) is not None
    assert gather(fold(replace(small, nodes=(small.nodes[0], again))), machine) is None


def test_without_room_for_windows_the_image_lies_as_it_is(
    spec: Any, random_network: Callable[..., Network]
) -> None:
    """27 bytes take 4 words of 8 where the 3 take one."""
    layer = spec(out=8, codebook="int8", bits=8, pad=EDGE)
    network = random_network((3, 8, 8), [layer])
    # A row of 8 pixels takes 4 words of each bank: 32 as it is, 128 as windows, 32 for the result.
    for words, kernel in ((32, 0), (64, 0), (128, 3)):
        program = compile_network(network, replace(preset("tiny"), feature_words=words))
        assert _image_load(program)["kernel"] == kernel
