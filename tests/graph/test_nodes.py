# SPDX-License-Identifier: Apache-2.0
"""Nodes and tensors: refused where they cannot be right."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sample_network import convolution, pool

from tritone.graph import Convolution, Gain, Shortcut, Tensor, Window


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"codebook": "post9"}, r"^Codebook must be one of "),
        ({"codes": np.zeros((3, 2, 3, 3), np.int64)}, r"^Layer conv must have uint8 codes "),
        ({"codes": np.zeros((3, 2, 5, 5), np.uint8)}, r"^Layer conv must have uint8 codes "),
        (
            {"codes": np.full((3, 2, 3, 3), 16, np.uint8)},
            r"^Layer conv must use codes of post4, not \[16\]$",
        ),
        (
            {"codebook": "int4", "codes": np.full((3, 2, 3, 3), 8, np.uint8)},
            r"^Layer conv must use codes of int4, not \[8\]$",
        ),
        ({"bits": 0}, r"^Layer conv must read 1 to 8 bits, not 0$"),
        ({"bits": 9}, r"^Layer conv must read 1 to 8 bits, not 9$"),
        ({"pad_code": 16}, r"^Layer conv must pad with a 4-bit activation, not 16$"),
        ({"multiplier": np.zeros(2, np.int64)}, r"^Layer conv must have one int64 M for each"),
        ({"offset": np.zeros(3, np.int32)}, r"^Layer conv must have one int64 D for each"),
        ({"multiplier": np.full(3, 1 << 15)}, r"^Layer conv must have M in 16 signed bits$"),
        ({"offset": np.full(3, 1 << 47)}, r"^Layer conv must have D in 48 signed bits$"),
        ({"shift": 41}, r"^Layer conv must have S in 0..40, not 41$"),
        ({"low": 5, "high": 4}, r"^Layer conv must clamp within -32768..32767, not 5..4$"),
        (
            {"groups": 2},
            r"^Layer conv must divide its 3 output channels into groups, not 2$",
        ),
        (
            {"groups": 0},
            r"^Layer conv must divide its 3 output channels into groups, not 0$",
        ),
        ({"high": 40000}, r"^Layer conv must clamp within -32768..32767, not 0..40000$"),
    ],
)
def test_convolutions_are_checked(change: dict[str, Any], message: str) -> None:
    """Each contract of a convolution has its message."""
    with pytest.raises(ValueError, match=message):
        convolution(**change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"multiplier": -1}, r"^Layer pool must have a multiplier in 0..32767, not -1$"),
        ({"shift": 34}, r"^Layer pool must have a shift in 0..33, not 34$"),
    ],
)
def test_pools_are_checked(change: dict[str, Any], message: str) -> None:
    """Each contract of a pool has its message."""
    with pytest.raises(ValueError, match=message):
        pool(**change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stride": 0}, r"^Shortcut image must have a positive stride, not 0$"),
        (
            {"channel_offset": -1},
            r"^Shortcut image must not have a negative channel offset, not -1$",
        ),
        (
            {"multiplier": 1 << 15},
            r"^Shortcut image must have K in 16 signed bits, not 32768$",
        ),
        (
            {"multiplier": -(1 << 15) - 1},
            r"^Shortcut image must have K in 16 signed bits, not -32769$",
        ),
    ],
)
def test_shortcuts_are_checked(change: dict[str, Any], message: str) -> None:
    """Each contract of a shortcut has its message."""
    values: dict[str, Any] = {"tensor": "image", "multiplier": 1, "shift": 0}
    with pytest.raises(ValueError, match=message):
        Shortcut(**(values | change))


def test_shortcut_output() -> None:
    """Every second pixel, the first one included."""
    shortcut = Shortcut(tensor="image", stride=2, multiplier=1, shift=0)
    assert shortcut.output(8, 7) == (4, 4)
    assert shortcut.output(1, 2) == (1, 1)


def test_windows_and_tensors_are_checked() -> None:
    """Sizes are positive; a zero is a code of its tensor."""
    refused: tuple[dict[str, Any], ...] = ({"kernel": (0, 3)}, {"kernel": (3, 3), "stride": 0})
    for change in refused:
        with pytest.raises(ValueError, match=r"^Window must have positive sizes, not "):
            Window(**change)
    with pytest.raises(ValueError, match=r"^Tensor t must have a shape of three positive sizes"):
        Tensor(name="t", shape=(1, 0, 1), zero=0, step=1.0)
    with pytest.raises(ValueError, match=r"^Tensor t must have a zero in 0..255, not 256$"):
        Tensor(name="t", shape=(1, 1, 1), zero=256, step=1.0)
    with pytest.raises(ValueError, match=r"^Tensor t must have a zero in 0..0, not 1$"):
        Tensor(name="t", shape=(1, 1, 1), zero=1, step=1.0, wide=True)
    with pytest.raises(ValueError, match=r"^Tensor t must have codes of 8 or 12 bits, not 10$"):
        Tensor(name="t", shape=(1, 1, 1), zero=0, step=1.0, stream_bits=10)
    with pytest.raises(ValueError, match=r"^Tensor t must have codes of 8 bits, not 12$"):
        Tensor(name="t", shape=(1, 1, 1), zero=0, step=1.0, wide=True, stream_bits=12)
    with pytest.raises(ValueError, match=r"^Tensor t must have a zero in 0..4095, not 4096$"):
        Tensor(name="t", shape=(1, 1, 1), zero=4096, step=1.0, stream_bits=12)


def test_window_output() -> None:
    """The sizes of convolutions known by heart."""
    assert Window(kernel=(3, 3), pad=(1, 1, 1, 1)).output(8, 8) == (8, 8)
    assert Window(kernel=(3, 3), stride=2, pad=(1, 1, 1, 1)).output(8, 8) == (4, 4)
    assert Window(kernel=(3, 3), stride=2, pad=(0, 0, 1, 1)).output(8, 8) == (4, 4)
    assert Window(kernel=(4, 4)).output(4, 4) == (1, 1)
    assert Window(kernel=(1, 3), pad=(2, 0, 0, 1)).output(5, 8) == (7, 7)


def test_gains_are_checked() -> None:
    """Headroom leaves bits of the codes; padding is real 0."""
    with pytest.raises(ValueError, match=r"^Gain b must have a headroom in 0\.\.7, not 8$"):
        Gain(tensor="b", adapted=False, headroom=8)
    gain = Gain(tensor="b", adapted=True)
    message = r"^Layer conv must be padded with 0 with an adaptive step, not 1$"
    with pytest.raises(ValueError, match=message):
        convolution(gain=gain, pad_code=1)


@pytest.mark.parametrize("headroom", [None, 0, 1, 2])
@pytest.mark.parametrize("width", [8, 12])
def test_read_shift(width: int, headroom: int | None) -> None:
    """What a reader drops: all bits of the codes but its own and the headroom."""
    source = Tensor(name="image", shape=(2, 7, 8), zero=0, step=1.0, stream_bits=width)
    gain = None if headroom is None else Gain(tensor="b", adapted=False, headroom=headroom)
    node = convolution(gain=gain, pad_code=0, bits=3)
    assert node.read_shift(source) == width - 3 - (headroom or 0)


@pytest.mark.parametrize("shift", [-1, 32])
def test_shifts_of_shortcuts_are_checked(shift: int) -> None:
    """t has 5 bits."""
    shortcut = Shortcut(tensor="image", multiplier=1, shift=shift)
    message = rf"^Layer conv must add a shortcut with t in 0..31, not {shift}$"
    with pytest.raises(ValueError, match=message):
        convolution(shortcut=shortcut)


def half_octaves(k: list[int], **changed: Any) -> Convolution:
    """Return a convolution of three channels with half octaves."""
    ones = np.ones(3, np.int64)
    return convolution(
        **{"multiplier": ones, "shift": 0, "half_octaves": np.array(k, np.int64), **changed}
    )


def test_half_octaves() -> None:
    """2**(-k/2) is 2**-S, and sqrt 2 times that where k is odd; t counts from each S."""
    for k in range(-1, 81):
        node = half_octaves([k, 0, 5])
        odd, shift = int(node.odd[0]), int(node.shifts[0])
        assert 2 * shift - odd == k
        assert odd in (0, 1)
    shortcut = Shortcut(tensor="image", multiplier=1, shift=-2)
    assert half_octaves([4, 13, 6], shortcut=shortcut).shortcut_shifts.tolist() == [0, 5, 1]
    plain = convolution()
    assert plain.odd.tolist() == [0, 0, 0]
    assert plain.shifts.tolist() == [plain.shift] * 3
    assert plain.shortcut_shifts.tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("k", "change", "message"),
    [
        ([-2, 0, 0], {}, r"half octaves in -1..80, not -2..0$"),
        ([0, 81, 0], {}, r"half octaves in -1..80, not 0..81$"),
        ([0, 0], {}, r"one int64 k for each output channel$"),
        ([0, 1, 2], {"shift": 1}, r"M = 1 and S = 0 beside half octaves$"),
        ([0, 1, 2], {"multiplier": np.array([1, 2, 1])}, r"M = 1 and S = 0 beside half octaves$"),
        (
            [0, 1, 2],
            {"shortcut": Shortcut(tensor="image", multiplier=2, shift=0)},
            r"^Layer conv must add a shortcut times a power of two with half octaves$",
        ),
        (
            [3, 8, 5],
            {"shortcut": Shortcut(tensor="image", multiplier=1, shift=-3)},
            r"^Layer conv must add a shortcut with t in -2..7 beside half octaves, not -3$",
        ),
        (
            [20, 17, 40],
            {"shortcut": Shortcut(tensor="image", multiplier=1, shift=8)},
            r"^Layer conv must add a shortcut with t in -7..7 beside half octaves, not 8$",
        ),
        (
            [3, 8, 5],
            {"gain": Gain(tensor="beta", adapted=False), "pad_code": 0},
            r"^Layer conv must read with a fixed step with half octaves, not an adaptive one",
        ),
    ],
)
def test_half_octaves_are_checked(k: list[int], change: dict[str, Any], message: str) -> None:
    """Each contract of a layer without multipliers has its message."""
    with pytest.raises(ValueError, match=message):
        half_octaves(k, **change)
