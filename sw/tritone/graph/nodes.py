# SPDX-License-Identifier: Apache-2.0
"""Tensors and nodes of the integer network, each checked by itself."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
import numpy.typing as npt

from tritone.spec.catalog import codebook
from tritone.spec.fixed import (
    HALF_OCTAVES_HIGH,
    HALF_OCTAVES_LOW,
    LOGIT,
    MULTIPLIER,
    OCTAVES_MAX,
    OFFSET,
    SHIFT_MAX,
    SHORTCUT_SHIFT_MAX,
    STREAM,
    STREAMS,
    StreamFormat,
)

__all__ = [
    "Convolution",
    "Gain",
    "Node",
    "Pool",
    "PoolKind",
    "Shortcut",
    "Tensor",
    "Window",
    "require",
]

Integers = npt.NDArray[np.int64]


def require(condition: bool, message: str) -> None:
    """Raise ValueError with ``message`` unless ``condition`` holds."""
    if not condition:
        raise ValueError(message)


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """A stream tensor.

    Parameters
    ----------
    name : unique in its network.
    shape : channels, height, width.
    zero : code of real 0.
    step : real size of one code; for people and export checks, never used in integer arithmetic.
    wide : signed 16-bit logits (zero 0) instead of unsigned codes.
    parts : the tensors whose channels it has, one behind the other (a concatenation); none for a
        tensor that a layer makes.
    stream_bits : width of the codes, 8 or 12; 8 for a wide tensor too, which has none.
    """

    name: str
    shape: tuple[int, int, int]
    zero: int
    step: float
    wide: bool = False
    parts: tuple[str, ...] = ()
    stream_bits: int = STREAM.bits

    def __post_init__(self) -> None:
        require(
            len(set(self.parts)) == len(self.parts) and self.name not in self.parts,
            f"Tensor {self.name} must have different parts, not {', '.join(self.parts)}",
        )
        require(
            len(self.shape) == 3 and all(size >= 1 for size in self.shape),
            f"Tensor {self.name} must have a shape of three positive sizes, not {self.shape}",
        )
        widths = (STREAM.bits,) if self.wide else tuple(STREAMS)
        require(
            self.stream_bits in widths,
            f"Tensor {self.name} must have codes of {' or '.join(map(str, widths))} bits, "
            f"not {self.stream_bits}",
        )
        top = 0 if self.wide else self.form.high
        require(
            0 <= self.zero <= top,
            f"Tensor {self.name} must have a zero in 0..{top}, not {self.zero}",
        )

    @property
    def form(self) -> StreamFormat:
        """Format of the codes of a tensor that is not wide."""
        return STREAMS[self.stream_bits]

    @property
    def size(self) -> int:
        """Number of values."""
        return self.shape[0] * self.shape[1] * self.shape[2]


@dataclass(frozen=True, kw_only=True)
class Window:
    """A sliding window: kernel (height, width), one stride, padding (top, left, bottom, right)."""

    kernel: tuple[int, int]
    stride: int = 1
    pad: tuple[int, int, int, int] = (0, 0, 0, 0)

    def __post_init__(self) -> None:
        require(
            all(size >= 1 for size in self.kernel)
            and self.stride >= 1
            and all(size >= 0 for size in self.pad),
            f"Window must have positive sizes, not {self}",
        )

    def output(self, height: int, width: int) -> tuple[int, int]:
        """Return the output height and width."""
        top, left, bottom, right = self.pad
        return (
            (height + top + bottom - self.kernel[0]) // self.stride + 1,
            (width + left + right - self.kernel[1]) // self.stride + 1,
        )


@dataclass(frozen=True, kw_only=True)
class Shortcut:
    """A tensor that a convolution adds to its sum, before the clamp.

    With k the code of channel ``c - channel_offset`` at the pixel (stride * y, stride * x) of
    ``tensor`` and z_k that tensor's zero, output channel c gets ``((k - z_k) * multiplier) <<
    shift``; a channel that ``tensor`` does not have gets nothing.

    Parameters
    ----------
    multiplier : K.
    shift : t. In a layer with half octaves K is 1, and t counts from each channel's own S.
    """

    tensor: str
    stride: int = 1
    channel_offset: int = 0
    multiplier: int
    shift: int

    def __post_init__(self) -> None:
        require(
            self.stride >= 1,
            f"Shortcut {self.tensor} must have a positive stride, not {self.stride}",
        )
        require(
            self.channel_offset >= 0,
            f"Shortcut {self.tensor} must not have a negative channel offset, "
            f"not {self.channel_offset}",
        )
        require(
            MULTIPLIER.low <= self.multiplier <= MULTIPLIER.high,
            f"Shortcut {self.tensor} must have K in {MULTIPLIER.bits} signed bits, "
            f"not {self.multiplier}",
        )

    def output(self, height: int, width: int) -> tuple[int, int]:
        """Return the height and width of what is added."""
        return (height - 1) // self.stride + 1, (width - 1) // self.stride + 1


@dataclass(frozen=True, kw_only=True)
class Gain:
    """An adaptive step (ASQ): a convolution reads its input divided by beta of the image.

    beta is the one value of ``tensor``, in U2.10. With w the width of the input's codes,
    r = w - bits - headroom and F = 8,

        a = clamp((u * G + half(r + F)) >> (r + F), 0, 2**bits - 1),
        G = ((1 << 18) + (beta >> 1)) // beta

    Parameters
    ----------
    adapted : M follows the step: ``(M[c] * beta + 512) >> 10`` takes the place of M[c]; D does not.
    headroom : h, the codes of the input that betas above 1 need.
    """

    tensor: str
    adapted: bool
    headroom: int = 1

    def __post_init__(self) -> None:
        require(
            0 <= self.headroom < STREAM.bits,
            f"Gain {self.tensor} must have a headroom in 0..{STREAM.bits - 1}, not {self.headroom}",
        )


@dataclass(frozen=True, kw_only=True)
class Convolution:
    """Convolution with requantisation; linear layers too.

    Parameters
    ----------
    codes : weight codes, uint8, (out channels, in channels of a group, kernel height and width).
    codebook : name in the catalog.
    bits : b of the activations that it reads.
    pad_code : activation a outside the input.
    multiplier, offset : M and D for each output channel, int64.
    shift, low, high : S and the clamp.
    half_octaves : None, or k of each channel, int64, where what the layer sums is scaled not by
        M / 2**S but by 2**(-k/2): ``shifts`` and ``odd`` take the places of S and M, M being 1 and
        S 0.
    groups : both kinds of channels are divided into; a group's outputs see its inputs only.
    shortcut : what is added, None for nothing.
    gain : the adaptive step that it reads with, None for a fixed one.
    """

    name: str
    input: str
    output: str
    window: Window
    codebook: str
    codes: npt.NDArray[np.uint8]
    bits: int
    pad_code: int
    multiplier: Integers
    offset: Integers
    shift: int
    low: int
    high: int
    half_octaves: Integers | None = None
    groups: int = 1
    shortcut: Shortcut | None = None
    gain: Gain | None = None

    def __post_init__(self) -> None:
        book = codebook(self.codebook)
        require(
            self.codes.dtype == np.uint8
            and self.codes.ndim == 4
            and self.codes.shape[2:] == self.window.kernel,
            f"Layer {self.name} must have uint8 codes (out, in, {self.window.kernel}), "
            f"not {self.codes.shape}",
        )
        require(
            self.groups >= 1 and len(self.codes) % self.groups == 0,
            f"Layer {self.name} must divide its {len(self.codes)} output channels into groups, "
            f"not {self.groups}",
        )
        unused = set(np.unique(self.codes).tolist()) - {
            code for code, level in enumerate(book.levels) if level is not None
        }
        require(
            not unused, f"Layer {self.name} must use codes of {book.name}, not {sorted(unused)}"
        )
        require(1 <= self.bits <= 8, f"Layer {self.name} must read 1 to 8 bits, not {self.bits}")
        require(
            0 <= self.pad_code < 1 << self.bits,
            f"Layer {self.name} must pad with a {self.bits}-bit activation, not {self.pad_code}",
        )
        for label, values, fixed in (
            ("M", self.multiplier, MULTIPLIER),
            ("D", self.offset, OFFSET),
        ):
            require(
                values.shape == self.codes.shape[:1] and values.dtype == np.int64,
                f"Layer {self.name} must have one int64 {label} for each output channel",
            )
            require(
                bool((values >= fixed.low).all() and (values <= fixed.high).all()),
                f"Layer {self.name} must have {label} in {fixed.bits} signed bits",
            )
        self._check_scales()
        require(
            0 <= self.shift <= SHIFT_MAX,
            f"Layer {self.name} must have S in 0..{SHIFT_MAX}, not {self.shift}",
        )
        require(
            LOGIT.low <= self.low <= self.high <= LOGIT.high,
            f"Layer {self.name} must clamp within {LOGIT.low}..{LOGIT.high}, "
            f"not {self.low}..{self.high}",
        )
        if self.gain is not None:
            require(
                self.pad_code == 0,
                f"Layer {self.name} must be padded with 0 with an adaptive step, "
                f"not {self.pad_code}",
            )

    def _check_scales(self) -> None:
        added = 0 if self.shortcut is None else self.shortcut.shift
        if self.half_octaves is None:
            require(
                0 <= added <= SHORTCUT_SHIFT_MAX,
                f"Layer {self.name} must add a shortcut with t in 0..{SHORTCUT_SHIFT_MAX}, "
                f"not {added}",
            )
        if self.half_octaves is not None:
            require(
                self.half_octaves.shape == self.codes.shape[:1]
                and self.half_octaves.dtype == np.int64,
                f"Layer {self.name} must have one int64 k for each output channel",
            )
            low, high = int(self.half_octaves.min()), int(self.half_octaves.max())
            require(
                HALF_OCTAVES_LOW <= low <= high <= HALF_OCTAVES_HIGH,
                f"Layer {self.name} must have half octaves in "
                f"{HALF_OCTAVES_LOW}..{HALF_OCTAVES_HIGH}, not {low}..{high}",
            )
            require(
                bool((self.multiplier == 1).all()) and self.shift == 0,
                f"Layer {self.name} must have M = 1 and S = 0 beside half octaves",
            )
            require(
                self.gain is None,
                f"Layer {self.name} must read with a fixed step with half octaves, not an adaptive "
                "one, which is a multiplier",
            )
            require(
                self.shortcut is None or self.shortcut.multiplier == 1,
                f"Layer {self.name} must add a shortcut times a power of two with half octaves",
            )
            lowest = -min(OCTAVES_MAX, int(self.shifts.min()))
            require(
                lowest <= added <= OCTAVES_MAX,
                f"Layer {self.name} must add a shortcut with t in {lowest}..{OCTAVES_MAX} beside "
                f"half octaves, not {added}",
            )

    @property
    def odd(self) -> Integers:
        """1 for each channel whose v is sqrt 2 times the sum: its rails change places."""
        return np.zeros_like(self.offset) if self.half_octaves is None else self.half_octaves & 1

    @property
    def shifts(self) -> Integers:
        """S of each channel: 2**(-k/2) is sqrt 2 times 2**-S where k is odd."""
        if self.half_octaves is None:
            return np.full_like(self.offset, self.shift)
        return (self.half_octaves + 1) >> 1

    @property
    def shortcut_shifts(self) -> Integers:
        """t of each channel; 0 without a shortcut."""
        if self.shortcut is None:
            return np.zeros_like(self.offset)
        base = 0 if self.half_octaves is None else self.shifts
        return np.zeros_like(self.offset) + base + self.shortcut.shift

    def read_shift(self, source: Tensor) -> int:
        """Return r of the reader of ``source``, its input."""
        return source.stream_bits - self.bits - (self.gain.headroom if self.gain else 0)


class PoolKind(Enum):
    """What a pool computes."""

    MAX = "max"
    AVERAGE = "average"


@dataclass(frozen=True, kw_only=True)
class Pool:
    """Pooling on the codes.

    MAX: the largest code of the window, padding being code 0. AVERAGE: with n the size of the
    window, padding being z,
    ``y = clamp(((sum - n * z) * multiplier + half(shift)) >> shift, -z, top - z) + z``, top being
    the largest code: 255, or 4095.
    """

    name: str
    input: str
    output: str
    kind: PoolKind
    window: Window
    multiplier: int = 1
    shift: int = 0

    def __post_init__(self) -> None:
        require(
            0 <= self.multiplier <= MULTIPLIER.high,
            f"Layer {self.name} must have a multiplier in 0..{MULTIPLIER.high}, "
            f"not {self.multiplier}",
        )
        require(
            0 <= self.shift <= SHIFT_MAX - 7,
            f"Layer {self.name} must have a shift in 0..{SHIFT_MAX - 7}, not {self.shift}",
        )


Node = Convolution | Pool
