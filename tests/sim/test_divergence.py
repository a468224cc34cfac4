# SPDX-License-Identifier: Apache-2.0
"""tritone_sim.divergence: every value compared, and the first wrong one by its place."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace

import numpy as np
import pytest

from tritone_sim.divergence import Divergence, compare, join
from tritone_sim.dump import DumpedPart, DumpedTensor

# C = 4 of R = 8 channels at once, two pixels at once: 6 channels are two output groups of one word.
NARROW = DumpedTensor(
    name="a",
    layer="first",
    shape=(6, 2, 3),
    order=tuple(range(6)),
    wide=False,
    rows=8,
    columns=4,
    pixels=2,
    stored_rows=2,
    stored_width=3,
    parts=(DumpedPart(word=0, row=0, words=1, height=2, groups=2),),
    offset=0,
)
WIDE = DumpedTensor(
    name="b",
    layer="second",
    shape=(10, 1, 1),
    order=tuple(range(10)),
    wide=True,
    rows=8,
    columns=4,
    pixels=2,
    stored_rows=2,
    stored_width=2,
    parts=(DumpedPart(word=0, row=0, words=2, height=1, groups=3),),
    offset=48,
)
TENSORS = (NARROW, WIDE)
STEPS = 2 * 2 * 2 + 3  # write-backs of an image: groups * rows * tiles, then three groups


def stored(tensor: DumpedTensor, values: np.ndarray) -> bytes:
    """Return the region of ``values``, as docs/machine.md lays them out; other lanes hold 0xEE."""
    region = bytearray(b"\xee" * tensor.bytes)
    channels, height, width = tensor.shape
    for channel in range(channels):
        for y in range(height):
            for x in range(width):
                row = (channel // tensor.rows * height + y) * tensor.stored_width
                lane = channel % tensor.rows
                value = int(values[channel, y, x])
                if tensor.wide:
                    low, high = (value & 0xFFFF).to_bytes(2, "little")
                    region[(row + 2 * x) * tensor.rows + lane] = low
                    region[(row + 2 * x + 1) * tensor.rows + lane] = high
                else:
                    region[(row + x) * tensor.rows + lane] = value
    return bytes(region)


@pytest.fixture
def golden() -> list[list[np.ndarray]]:
    """Two images of random tensors."""
    generator = np.random.default_rng(5)
    return [
        [generator.integers(0, 256, NARROW.shape), generator.integers(-32768, 32768, WIDE.shape)]
        for _ in range(2)
    ]


def dumps(images: list[list[np.ndarray]]) -> bytes:
    """Return the dumps of all images."""
    return b"".join(
        stored(tensor, values)
        for image in images
        for tensor, values in zip(TENSORS, image, strict=True)
    )


def test_equal_tensors_have_no_divergence(golden: list[list[np.ndarray]]) -> None:
    """All values count, and each tensor's hash covers its regions of all images."""
    comparison = compare(TENSORS, dumps(golden), golden, range(2 * STEPS))
    assert (comparison.values, comparison.mismatches) == (2 * 46, 0)
    assert comparison.divergence is None
    for index, tensor in enumerate(TENSORS):
        regions = b"".join(stored(tensor, image[index]) for image in golden)
        assert comparison.tensor_sha256[tensor.name] == hashlib.sha256(regions).hexdigest()


def test_the_first_wrong_value_is_the_one_written_first(golden: list[list[np.ndarray]]) -> None:
    """Channel 5 of row 0 is written behind channel 3 of row 1, and the second image behind both."""
    machine = [[values.copy() for values in image] for image in golden]
    machine[1][0][5, 0, 2] ^= 1
    machine[1][0][3, 1, 2] ^= 1
    machine[1][0][2, 1, 2] ^= 4
    machine[1][1][9, 0, 0] += 1 if machine[1][1][9, 0, 0] < 0 else -1
    write_backs = [100 + 10 * number for number in range(2 * STEPS)]
    comparison = compare(TENSORS, dumps(machine), golden, write_backs)
    expected = int(golden[1][0][2, 1, 2])
    assert comparison.mismatches == 4
    assert comparison.divergence == Divergence(
        image=1,
        layer="first",
        tensor="a",
        channel=2,
        y=1,
        x=2,
        expected=expected,
        got=expected ^ 4,
        cycle=100 + 10 * (STEPS + 3),  # group 0, row 1, tile 1
    )
    assert str(comparison.divergence) == (
        f"image 1, layer first, tensor a, channel 2, pixel (1, 2): expected {expected}, "
        f"got {expected ^ 4}, written in cycle {100 + 10 * (STEPS + 3)}"
    )


def test_every_layer_has_its_own_first_wrong_value(golden: list[list[np.ndarray]]) -> None:
    """The second layer differs in both images, the first layer in the second one only."""
    machine = [[values.copy() for values in image] for image in golden]
    machine[0][1][7, 0, 0] ^= 2
    machine[1][1][3, 0, 0] ^= 2
    machine[1][0][4, 1, 1] ^= 1
    machine[1][0][0, 1, 2] ^= 1
    comparison = compare(TENSORS, dumps(machine), golden, range(2 * STEPS))
    first, second = comparison.layers
    assert [each.layer for each in comparison.layers] == ["first", "second"]
    assert [each.tensor for each in comparison.layers] == ["a", "b"]
    assert [each.values for each in comparison.layers] == [2 * 36, 2 * 10]
    assert [each.mismatches for each in comparison.layers] == [2, 2]
    assert first.divergence is not None
    assert second.divergence is not None
    place = first.divergence
    # Group 0 before group 1: channel 0, though its pixel lies behind.
    assert (place.image, place.channel, place.y, place.x) == (1, 0, 1, 2)
    place = second.divergence
    assert (place.image, place.channel, place.y, place.x) == (0, 7, 0, 0)
    assert comparison.divergence == second.divergence


@pytest.mark.parametrize("wrong", [None, (0, 1, (9, 0, 0)), (2, 0, (5, 1, 2))])
def test_shares_join_to_the_whole(wrong: tuple[int, int, tuple[int, ...]] | None) -> None:
    """Three images compared in one run, and in runs of one and of two with their own cycles."""
    generator = np.random.default_rng(6)
    golden = [
        [generator.integers(0, 256, NARROW.shape), generator.integers(-32768, 32768, WIDE.shape)]
        for _ in range(3)
    ]
    machine = [[values.copy() for values in image] for image in golden]
    if wrong:
        image, index, place = wrong
        machine[image][index][place] ^= 1
    whole = compare(TENSORS, dumps(machine), golden, range(3 * STEPS))
    halves = [slice(0, 1), slice(1, 3)]
    parts = [
        compare(TENSORS, dumps(machine[half]), golden[half], range(3 * STEPS)) for half in halves
    ]
    joined = join(TENSORS, parts, [dumps(machine[half]) for half in halves])
    assert joined.tensor_sha256 == whole.tensor_sha256
    assert (joined.values, joined.mismatches) == (3 * 46, int(wrong is not None))
    expected = whole.divergence
    if wrong and image == 2:
        assert expected is not None
        assert expected.cycle is not None
        # The run of the second share begins with image 1 and counts its own cycles.
        expected = replace(expected, first=1, cycle=expected.cycle - STEPS)
        assert str(expected).endswith(f"written in cycle {expected.cycle} of a run from image 1 on")
    assert joined.divergence == expected


def test_a_value_that_was_never_written_has_no_cycle(golden: list[list[np.ndarray]]) -> None:
    machine = [[values.copy() for values in image] for image in golden]
    machine[1][1][0, 0, 0] ^= 1
    divergence = compare(TENSORS, dumps(machine), golden, range(STEPS + 8)).divergence
    assert divergence is not None
    assert divergence.cycle is None
    assert str(divergence).endswith(", never written")


def test_dumps_of_another_size_are_refused(golden: list[list[np.ndarray]]) -> None:
    message = "Dumps must hold 2 images of 80 bytes, not 159 bytes"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        compare(TENSORS, dumps(golden)[:-1], golden, ())
