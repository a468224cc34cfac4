# SPDX-License-Identifier: Apache-2.0
"""Nodes of a network lowered to what the machine knows: a sum over a window, requantised.

``v = sum + bias``, ``y = clamp((v * M + D) >> S, low, high)`` in which the sum of a convolution is
that of scaled levels times activations, and that of a pool 128 times the largest code or the sum of
the codes: they take the even rail. With half octaves M is 1 and each channel has an S of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from tritone.graph import Convolution, Gain, Network, Pool, PoolKind, Shortcut, Tensor, Window
from tritone.spec.catalog import codebook
from tritone.spec.codebook import Codebook
from tritone.spec.fixed import (
    OFFSET,
    SQRT2_FRACTION,
    SQRT2_NUMERATOR,
    STREAM,
    VALUE,
    FixedFormat,
    half,
)
from tritone.spec.isa import Adaptation, Opcode, PoolMode
from tritone.spec.level import Level
from tritone.spec.machine import RequantizerKind

__all__ = ["Added", "Integers", "Layer", "Octaves", "Weights", "fold", "require_format"]

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Weights:
    """What CONVOLVE multiplies by: codes (out channels, in channels of a group, ky, kx).

    Channels that are ``odd`` count sqrt 2 times as much.
    """

    book: Codebook
    codes: npt.NDArray[np.uint8]
    odd: Integers
    groups: int = 1

    def by_code(self, values: list[int]) -> Integers:
        """Return ``values[code]`` of every weight."""
        return np.array(values, np.int64)[self.codes]

    @property
    def units(self) -> dict[str, Integers]:
        """What the sum of each rail counts in v, for each channel."""
        one = 1 << SQRT2_FRACTION
        return {
            "even": np.where(self.odd == 1, SQRT2_NUMERATOR, one),
            "odd": np.where(self.odd == 1, 2 * one, SQRT2_NUMERATOR),
        }

    @property
    def scaled(self) -> Integers:
        """What every weight counts in v: 128 times its level, or sqrt 2 times that."""
        levels = [level or Level(0) for level in self.book.levels]
        even, odd = (unit[:, None, None, None] for unit in self.units.values())
        return even * self.by_code([level.even for level in levels]) + odd * self.by_code(
            [level.odd for level in levels]
        )


@dataclass(frozen=True, kw_only=True)
class Added:
    """What a layer adds to its sums: a tensor, at stride 1 or 2; K and t."""

    tensor: Tensor
    stride: int
    multiplier: int
    shift: int


@dataclass(frozen=True, kw_only=True)
class Octaves:
    """What takes the places of M and S without multipliers, for each output channel.

    ``odd`` is 1 where v is sqrt 2 times the sum.
    """

    odd: Integers
    shifts: Integers


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One CONVOLVE or POOL.

    Parameters
    ----------
    name : of the node.
    weights : None for pools.
    pool_mode : what a pool computes; MAX for a convolution, which ignores it.
    window : its stride is 1 or 2.
    bits : of the activations that are read; 8 for pools.
    pad_code : activation outside the input.
    bias : what takes back the zero points, for each output channel.
    multiplier, offset, shift, low, high : M and D for each output channel, S, clamp.
    macs : useful multiply-accumulates.
    shortcut : what is added to the first output channels.
    octaves : for a machine with half octaves; M is 1 and S 0 then.
    gain : the adaptive step that the input is read with.
    makes_beta : the output is the beta of an adaptive step.
    """

    name: str
    weights: Weights | None
    pool_mode: PoolMode
    input: Tensor
    output: Tensor
    window: Window
    bits: int
    pad_code: int
    bias: Integers
    multiplier: Integers
    offset: Integers
    shift: int
    low: int
    high: int
    macs: int
    shortcut: Added | None = None
    octaves: Octaves | None = None
    gain: Gain | None = None
    makes_beta: bool = False

    @property
    def opcode(self) -> Opcode:
        """The instruction that runs the layer."""
        return Opcode.POOL if self.weights is None else Opcode.CONVOLVE

    @property
    def read_shift(self) -> int:
        """r of the reader."""
        return STREAM.bits - self.bits - (self.gain.headroom if self.gain else 0)

    @property
    def adaptation(self) -> Adaptation:
        """What the layer has to do with an adaptive step."""
        if self.makes_beta:
            return Adaptation.BETA
        if self.gain is None:
            return Adaptation.NONE
        return Adaptation.ADAPTED if self.gain.adapted else Adaptation.STEP

    @property
    def read_zero(self) -> int:
        """z_a of the reader."""
        return self.input.zero >> self.read_shift


def require_format(layer: str, thing: str, low: int, high: int, form: FixedFormat) -> None:
    """Raise ValueError unless ``low..high`` lies in the range of ``form``."""
    if low < form.low or high > form.high:
        raise ValueError(
            f"Layer {layer} must have {thing} in {form.bits} "
            f"{'signed' if form.signed else 'unsigned'} bits, not {low}..{high}"
        )


def _tensor(network: Network, name: str) -> Tensor:
    """Return a tensor; parts that have parts are those."""
    tensor = network.tensors[name]
    parts = [(_tensor(network, part).parts or (part,)) for part in tensor.parts]
    return replace(tensor, parts=tuple(part for each in parts for part in each))


def _window(name: str, window: Window, output: Tensor) -> Window:
    """Return a window with a stride that the machine has; a single output pixel has none."""
    if output.shape[1:] == (1, 1):
        return replace(window, stride=1)
    if window.stride not in (1, 2):
        raise ValueError(f"Layer {name} must have a stride of 1 or 2, not {window.stride}")
    return window


def _added(name: str, shortcut: Shortcut, network: Network, output: Tensor) -> Added:
    """Return a shortcut with a stride that the machine has; a single output pixel has none."""
    stride = 1 if output.shape[1:] == (1, 1) else shortcut.stride
    if stride not in (1, 2):
        raise ValueError(
            f"Layer {name} must add {shortcut.tensor} with a stride of 1 or 2, not {stride}; "
            "a pool in front of it can take the rest"
        )
    # The network's channels have been aligned.
    assert shortcut.channel_offset == 0
    return Added(
        tensor=_tensor(network, shortcut.tensor),
        stride=stride,
        multiplier=shortcut.multiplier,
        shift=shortcut.shift,
    )


def _octaves(node: Convolution, kind: RequantizerKind) -> Octaves | None:
    """Return the half octaves of a layer; a network has them if and only if its machine does."""
    if node.half_octaves is None:
        if kind is RequantizerKind.HALF_OCTAVE:
            raise ValueError(
                f"Layer {node.name} must be scaled by half octaves, not by 16-bit multipliers: the "
                "machine has none; train with multipliers = half_octave, or choose a machine with "
                "requantizer = multiplier"
            )
        return None
    if kind is RequantizerKind.MULTIPLIER:
        raise ValueError(
            f"Layer {node.name} must be scaled by 16-bit multipliers, not by half octaves, whose "
            "rails the machine cannot turn; choose one with requantizer = half_octave, or train "
            "with multipliers = integer"
        )
    return Octaves(odd=node.odd, shifts=node.shifts)


def _convolution(node: Convolution, network: Network, kind: RequantizerKind) -> Layer:
    makes_beta = any(
        isinstance(each, Convolution) and each.gain and each.gain.tensor == node.output
        for each in network.nodes
    )
    if makes_beta and node.gain is not None:
        raise ValueError(
            f"Layer {node.name} must make its beta from what it reads with a fixed step, "
            f"not with the adaptive one of {node.gain.tensor}"
        )
    source, result = _tensor(network, node.input), network.tensors[node.output]
    octaves = _octaves(node, kind)
    weights = Weights(
        book=codebook(node.codebook), codes=node.codes, odd=node.odd, groups=node.groups
    )
    zero, top = source.zero >> node.read_shift(source), (1 << node.bits) - 1
    positive = weights.scaled.clip(min=0).sum(axis=(1, 2, 3))
    negative = weights.scaled.clip(max=0).sum(axis=(1, 2, 3))
    # A weight meets a - z_a, anything from -z_a to top - z_a. With v in 36 bits and M in 16 the
    # product takes 51 bits, and its sum with D, in 48 bits, and a shortcut, in 55 bits, always fits
    # the 56 of the requantiser.
    low = positive * -zero + negative * (top - zero)
    high = positive * (top - zero) + negative * -zero
    require_format(node.name, "sums", int(low.min()), int(high.max()), VALUE)
    return Layer(
        name=node.name,
        weights=weights,
        pool_mode=PoolMode.MAX,
        input=source,
        output=result,
        window=_window(node.name, node.window, result),
        bits=node.bits,
        pad_code=node.pad_code,
        bias=-zero * (positive + negative),
        multiplier=node.multiplier,
        offset=node.offset,
        shift=node.shift,
        low=node.low,
        high=node.high,
        macs=network.macs(node),
        shortcut=_added(node.name, node.shortcut, network, result) if node.shortcut else None,
        octaves=octaves,
        gain=node.gain,
        makes_beta=makes_beta,
    )


def _average_constants(node: Pool, kind: RequantizerKind) -> tuple[int, int]:
    """Return Mp and Sp; without multipliers Mp is 1, the power of two being part of Sp.

    That is the same: for Mp = 2**n, ``(X * Mp + half(Sp)) >> Sp = (X + half(Sp - n)) >> (Sp - n)``.
    """
    multiplier, shift = node.multiplier, node.shift
    if kind is RequantizerKind.MULTIPLIER:
        return multiplier, shift
    power = multiplier.bit_length() - 1
    if multiplier != 1 << max(power, 0) or power > shift:
        raise ValueError(
            f"Layer {node.name} must average a power of two of pixels, not scale their sum by "
            f"{multiplier}/2**{shift}: the machine has no multiplier; pool another window, or "
            "choose a machine with requantizer = multiplier"
        )
    return 1, shift - power


def _pool(node: Pool, network: Network, kind: RequantizerKind) -> Layer:
    source, result = _tensor(network, node.input), network.tensors[node.output]
    zero, size = source.zero, node.window.kernel[0] * node.window.kernel[1]
    if node.kind is PoolKind.MAX:
        # (128 * max) >> 7 is the largest code itself.
        mode, bias, multiplier, shift, offset = PoolMode.MAX, 0, 1, SQRT2_FRACTION, 0
    else:
        # With X = sum - n * z, v = 128 * X and S = Sp + 7:
        #     (v * Mp + (z << S) + half(S)) >> S = z + floor((X * Mp + half(S) / 128) / 2**Sp),
        # half(S) / 128 being 2**Sp / 2. That is half(Sp) for Sp > 0; for Sp = 0 it is 1/2, which
        # the floor of an integer plus 1/2 drops. The clamp to 0..255 behind the addition of z is
        # the clamp to -z..255 - z before it.
        mode, bias = PoolMode.SUM, -(size * zero << SQRT2_FRACTION)
        multiplier, places = _average_constants(node, kind)
        shift = places + SQRT2_FRACTION
        offset = (zero << shift) + half(shift)
        require_format(node.name, "D", offset, offset, OFFSET)
    channels = source.shape[0]
    octaves = None
    if kind is RequantizerKind.HALF_OCTAVE:
        none, shifts = np.zeros(channels, np.int64), np.full(channels, shift, np.int64)
        octaves = Octaves(odd=none, shifts=shifts)
    return Layer(
        name=node.name,
        weights=None,
        pool_mode=mode,
        input=source,
        output=result,
        window=_window(node.name, node.window, result),
        bits=STREAM.bits,
        pad_code=0 if mode is PoolMode.MAX else zero,
        bias=np.full(channels, bias, np.int64),
        multiplier=np.full(channels, multiplier, np.int64),
        offset=np.full(channels, offset, np.int64),
        shift=shift if octaves is None else 0,
        low=STREAM.low,
        high=STREAM.high,
        macs=0,
        octaves=octaves,
    )


def fold(
    network: Network, requantizer: RequantizerKind = RequantizerKind.MULTIPLIER
) -> list[Layer]:
    """Return the layers of ``network``, which is aligned, in the order of execution.

    Parameters
    ----------
    requantizer : of the machine.

    Raises
    ------
    ValueError : a layer needs what no machine has, or the network's output is not that of its last
        layer.
    """
    if not network.nodes or network.nodes[-1].output != network.output:
        raise ValueError(
            f"Network {network.name} must end with the layer that makes {network.output}"
        )
    for tensor in network.tensors.values():
        if tensor.form is not STREAM:
            raise ValueError(
                f"Tensor {tensor.name} must have {STREAM.bits}-bit codes, not "
                f"{tensor.stream_bits}-bit ones: machines keep a byte of each; train with "
                f"stream_bits = {STREAM.bits}"
            )
    return [
        _convolution(node, network, requantizer)
        if isinstance(node, Convolution)
        else _pool(node, network, requantizer)
        for node in network.nodes
    ]
