# SPDX-License-Identifier: Apache-2.0
"""Feature memory places pixels as docs/machine.md says; constants fill from an address on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tritone.golden.memory import FeatureMemory, read_parameters, read_words
from tritone.spec.isa import PARAMETER
from tritone.spec.machine import MachineConfig, preset

MACHINE = MachineConfig(name="test", rows=8, columns=4, pixels=2, requantizer_slots=4)


def test_pixels_lie_in_their_banks() -> None:
    """13 channels, 3 rows, 6 pixels: bank x mod 4, word base + 10 k + 2 y + x div 4."""
    memory = FeatureMemory(MACHINE)
    codes = np.random.default_rng(0).integers(1, 256, (3, 6, 13)).astype(np.uint8)
    memory.write(1, {"base": 7, "row_words": 2, "plane_words": 10}, codes)
    raw = memory._words
    for k, y, x, lane in np.ndindex(2, 3, 6, 8):
        channel = 8 * k + lane
        expected = codes[y, x, channel] if channel < 13 else 0
        assert raw[1, x % 4, 7 + 10 * k + 2 * y + x // 4, lane] == expected
    assert np.count_nonzero(raw) == codes.size
    planes = memory.planes(
        1,
        {"in_base": 7, "in_plane_words": 10, "in_row_words": 2, "in_height": 3, "in_width": 6},
        2,
    )
    assert (planes[0] == codes[:, :, :8]).all()
    assert (planes[1, :, :, :5] == codes[:, :, 8:]).all()


def test_lanes_without_a_code_stay() -> None:
    """With C < R a write leaves the other lanes of the word as they are."""
    memory = FeatureMemory(MACHINE)
    region = {"base": 0, "row_words": 1, "plane_words": 1}
    memory.write(0, region, np.full((1, 1, 8), 9, np.uint8))
    memory.write(0, region, np.full((1, 1, 4), 1, np.uint8))
    stored = memory.region(0, {"base": 0, "rows": 1, "width": 1, "row_words": 1})
    assert stored.reshape(-1).tolist() == [1] * 4 + [9] * 4


def test_loaded_pixels_are_unpacked() -> None:
    """Two bytes a pixel, packed; the channels behind become 0 whatever was there."""
    memory = FeatureMemory(MACHINE)
    memory._words[:] = 77
    fields = {"rows": 2, "width": 3, "row_words": 1, "address": 5, "pixel_bytes": 1, "beats": 2}
    fields["kernel"] = 0
    memory.load(1, fields, bytes(range(1, 17)))
    stored = memory.region(1, {"base": 5, "rows": 2, "width": 3, "row_words": 1})
    assert stored.reshape(6, 8).tolist() == [
        [1 + 2 * n, 2 + 2 * n, 0, 0, 0, 0, 0, 0] for n in range(6)
    ]
    assert (memory._words[0] == 77).all()


WINDOWS = {
    "rows": 4,
    "width": 5,
    "row_words": 2,
    "address": 3,
    "pixel_bytes": 2,
    "beats": 10,
    "kernel": 3,
    "channels": 3,
    "stride": 2,
    "pad_top": 1,
    "pad_left": 2,
    "pad_code": 200,
    "across": 8,
    "down": 6,
    "plane_words": 9,
}


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("stride", [1, 2])
def test_windows_are_gathered(channels: int, stride: int) -> None:
    """The bytes of 3x3 pixels, tap by tap, in words of 8; behind them zeros, outside the code."""
    memory = FeatureMemory(MACHINE)
    memory._words[:] = 77
    image = np.random.default_rng(channels).integers(0, 256, (4, 5, 4)).astype(np.uint8)
    memory.load(0, WINDOWS | {"channels": channels, "stride": stride}, image.tobytes())
    height, width = (4, 6) if stride == 1 else (2, 3)
    for oy, ox in np.ndindex(height, width):
        taps = []
        for ky, kx in np.ndindex(3, 3):
            y, x = oy * stride + ky - 1, ox * stride + kx - 2
            inside = 0 <= y < 4 and 0 <= x < 5
            taps += image[y, x, :channels].tolist() if inside else [200] * channels
        taps += [0] * (-len(taps) % 8)
        for plane in range(len(taps) // 8):
            word = memory._words[0, ox % 4, 3 + 9 * plane + 2 * oy + ox // 4]
            assert word.tolist() == taps[8 * plane : 8 * plane + 8]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kernel": 5}, r"^Windows must be 3x3 and have 1..4 channels, not 5x5 and 3$"),
        ({"channels": 0}, r"^Windows must be 3x3 and have 1..4 channels, not 3x3 and 0$"),
        ({"stride": 3}, r"^Windows must have a stride of 1 or 2 and channels .*, not 3 and 3$"),
        ({"pixel_bytes": 1, "beats": 5}, r"channels of the 2 bytes, not 2 and 3$"),
        ({"across": 6}, r"^Windows must reach over the image, not 6 rows, 6 across$"),
        ({"down": 4}, r"^Windows must reach over the image, not 4 rows, 8 across$"),
        ({"across": 65}, r"^Windows must be gathered from at most 64 columns, not 65$"),
    ],
)
def test_windows_that_cannot_be_gathered_are_refused(change: dict[str, int], message: str) -> None:
    """Kernel, channels, stride, and what the machine's lines hold."""
    with pytest.raises(ValueError, match=message):
        FeatureMemory(MACHINE).load(0, {**WINDOWS, **change}, bytes(80))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pixel_bytes": 4, "beats": 12}, r"^Pixel must have at most 8 bytes, not 16$"),
        ({"beats": 3}, r"^LOAD must read the beats of 12 bytes, not 3$"),
        ({"width": 5, "beats": 3}, r"^Row of 5 pixels must fit 1 words of each bank$"),
        ({"address": 511}, r"^Region must fit 512 feature words, not 513$"),
    ],
)
def test_loads_that_do_not_fit_are_refused(change: dict[str, int], message: str) -> None:
    """Bytes of a pixel, beats, row words and memory."""
    fields = {"rows": 2, "width": 3, "row_words": 1, "address": 0, "pixel_bytes": 1, "beats": 2}
    fields["kernel"] = 0
    with pytest.raises(ValueError, match=message):
        FeatureMemory(MACHINE).load(0, {**fields, **change}, bytes(200))


def test_words_fill_from_their_address() -> None:
    """Neither more nor fewer words than LOAD names, and not behind the end."""
    memory: Any = np.zeros((4, 2), np.int64)
    read_words(memory, 1, 2, np.array([1, 2, 3, 4]))
    assert memory.tolist() == [[0, 0], [1, 2], [3, 4], [0, 0]]
    with pytest.raises(ValueError, match=r"^LOAD must fit 4 words, not 5$"):
        read_words(memory, 3, 2, np.array([1, 2, 3, 4]))
    with pytest.raises(ValueError, match=r"^LOAD must read the beats of 2 words, not 3 values$"):
        read_words(memory, 0, 2, np.array([1, 2, 3]))


def test_parameters_are_signed_fields_of_16_bytes() -> None:
    """B in bits 0..39, M in 40..55, D in 56..103, two's complement."""
    assert PARAMETER.bits == 128
    word = (-5 & (1 << 40) - 1) | (-7 & 0xFFFF) << 40 | (-9 & (1 << 48) - 1) << 56
    values = read_parameters(PARAMETER, word.to_bytes(16, "little") + (3).to_bytes(16, "little"))
    assert {name: array.tolist() for name, array in values.items()} == {
        "bias": [-5, 3],
        "multiplier": [-7, 0],
        "offset": [-9, 0],
    }


def test_presets_have_the_memory_they_say() -> None:
    """Two groups of 2P banks."""
    machine = preset("tiny-p4")
    assert FeatureMemory(machine)._words.shape == (2, 8, machine.feature_words, 8)
