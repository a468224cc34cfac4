# SPDX-License-Identifier: Apache-2.0
"""Values come out of a dump where the machine has put them."""

from __future__ import annotations

import numpy as np
import pytest

from tritone.golden.dump import join_parts, unpack_dump


def test_codes_by_channel_word_row_pixel_lane() -> None:
    """Byte ((k * H + y) * W + x) * R + lane is channel k * R + lane."""
    data = bytes(np.random.default_rng(0).integers(0, 256, 2 * 3 * 5 * 8, np.uint8))
    values = unpack_dump(data, (11, 3, 5), False, 8)
    assert values.shape == (11, 3, 5)
    for c, y, x in np.ndindex(11, 3, 5):
        assert values[c, y, x] == data[((c // 8 * 3 + y) * 5 + x) * 8 + c % 8]


def test_wide_values_are_two_pixels() -> None:
    """Low byte in pixel 2x, high byte in 2x + 1, signed."""
    data = bytes(np.random.default_rng(1).integers(0, 256, 4 * 8, np.uint8))
    values = unpack_dump(data, (3, 2, 1), True, 8)
    for c, y in np.ndindex(3, 2):
        pair = bytes((data[(y * 2) * 8 + c], data[(y * 2 + 1) * 8 + c]))
        assert values[c, y, 0] == int.from_bytes(pair, "little", signed=True)


def test_another_size_is_refused() -> None:
    """The region of the tensor has one size."""
    with pytest.raises(
        ValueError, match=r"^Dump of a tensor \(11, 3, 5\) must be 240 bytes long, not 239$"
    ):
        unpack_dump(bytes(239), (11, 3, 5), False, 8)


def test_channels_come_in_the_order_of_the_network() -> None:
    """Place i holds channel order[i]."""
    values = unpack_dump(bytes(range(8)), (3, 1, 1), False, 8, [2, 0, 1])
    assert values.reshape(-1).tolist() == [1, 2, 0]


def test_parts_make_up_a_tensor() -> None:
    """11 channels of 3x2 in words of 8: two rows of both words, then the last one word by word."""
    whole = np.arange(2 * 3 * 2 * 8, dtype=np.uint8).reshape(2, 3, 2, 8)
    pieces = [whole[:, :2], whole[1:, 2:], whole[:1, 2:]]
    dumps = [piece.tobytes() for piece in pieces]
    parts = [[0, 0], [1, 2], [0, 2]]
    assert join_parts(dumps, parts, (11, 3, 2), False, 8) == whole.tobytes()
    with pytest.raises(
        ValueError, match=r"^Parts must make up the tensor \(11, 3, 2\), each row once$"
    ):
        join_parts(dumps[:2], parts[:2], (11, 3, 2), False, 8)
    message = r"^Dump of a part must be a multiple of 16 bytes, not 15$"
    with pytest.raises(ValueError, match=message):
        join_parts([dumps[0], dumps[1][1:]], parts[:2], (11, 3, 2), False, 8)
