# SPDX-License-Identifier: Apache-2.0
"""The integer model in torch: what the machine computes, on buffers of its own.

It shares no code with tritone.golden: the two are compared bit by bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from tritone import graph
from tritone.graph import Gain, PoolKind, Shortcut, Window
from tritone.qat.modules import INPUT
from tritone.spec.fixed import BETA, GAIN_FRACTION, SUM, StreamFormat, half

__all__ = ["EXACT", "Evaluation", "FrozenConvolution", "FrozenModel", "FrozenPool"]

# Integers up to here are exact in float64.
EXACT = 1 << 53


class Evaluation(NamedTuple):
    """Logits (N, classes) and every tensor (N, C, H, W) by name, all int64."""

    logits: Tensor
    tensors: dict[str, Tensor]


class FrozenConvolution(nn.Module):
    """Convolution and requantisation in integers.

    Parameters
    ----------
    name, input, output, window : of the node.
    codebook : name in the catalog.
    codes : uint8 (out, in, kernel height, kernel width).
    scaled : int64 (out, codes), what each code counts in v: 128 times its level, or sqrt 2 times
        that.
    bits : width of the activations that it reads.
    zero, form : z of the input and the format of its codes.
    multiplier, offset : M and D, int64, for each output channel.
    shift, low, high : S and the clamp.
    half_octaves : k of each output channel, int64, which is scaled by 2**(-k/2), M being 1 and S 0;
        None: it is scaled by M / 2**S.
    groups : of channels.
    shortcut, shortcut_zero : what is added, and z of its tensor.
    gain : the adaptive step that it reads with.
    """

    codes: Tensor
    scaled: Tensor
    multiplier: Tensor
    offset: Tensor
    half_octaves: Tensor | None

    def __init__(
        self,
        *,
        name: str,
        input: str,
        output: str,
        window: Window,
        codebook: str,
        codes: Tensor,
        scaled: Tensor,
        bits: int,
        zero: int,
        form: StreamFormat,
        multiplier: Tensor,
        offset: Tensor,
        shift: int,
        low: int,
        high: int,
        half_octaves: Tensor | None = None,
        groups: int = 1,
        shortcut: Shortcut | None = None,
        shortcut_zero: int = 0,
        gain: Gain | None = None,
    ) -> None:
        super().__init__()
        self.name, self.input, self.output = name, input, output
        self.window = window
        self.groups = groups
        self.shortcut, self.shortcut_zero = shortcut, shortcut_zero
        self.gain = gain
        self.codebook = codebook
        self.bits, self.zero, self.form = bits, zero, form
        self.shift, self.low, self.high = shift, low, high
        self.register_buffer("codes", codes)
        self.register_buffer("scaled", scaled)
        self.register_buffer("multiplier", multiplier)
        self.register_buffer("offset", offset)
        self.register_buffer("half_octaves", half_octaves)

    @property
    def shifts(self) -> Tensor:
        """S of each channel."""
        if self.half_octaves is None:
            return torch.full_like(self.offset, self.shift)
        return torch.div(self.half_octaves + 1, 2, rounding_mode="floor")

    @property
    def read_shift(self) -> int:
        """r of the reader."""
        return self.form.bits - self.bits - (self.gain.headroom if self.gain else 0)

    @property
    def read_zero(self) -> int:
        """z_a, the activation of real 0; it is the padding too."""
        return self.zero >> self.read_shift

    def forward(
        self, codes: Tensor, added: Tensor | None = None, beta: Tensor | None = None
    ) -> Tensor:
        """Return the output codes of input codes (N, C, H, W), both int64.

        ``added`` are the codes of the shortcut's tensor, ``beta`` is the value of the gain's.
        """
        zero, top = self.read_zero, (1 << self.bits) - 1
        a = self._read(codes, beta).clamp(0, top)
        above, left, below, right = self.window.pad
        a = functional.pad(a, (left, right, above, below), value=zero)
        weights = self.scaled.gather(1, self.codes.flatten(1).long()).view_as(self.codes)
        # Every partial sum of the convolution is at most bound, whatever its order.
        bound = int(weights.abs().flatten(1).sum(1).max()) * max(zero, top - zero)
        assert bound < EXACT, f"{self.name}: sums up to {bound} are not exact in float64"
        v = functional.conv2d(
            (a - zero).double(), weights.double(), stride=self.window.stride, groups=self.groups
        ).long()
        multiplier = self.multiplier.view(-1, 1, 1)
        if beta is not None and self.gain is not None and self.gain.adapted:
            multiplier = (multiplier * beta + half(BETA.frac)) >> BETA.frac
        total = bound * int(multiplier.abs().max()) + int(self.offset.abs().max())
        assert total <= SUM.high, f"{self.name}: v * M + D up to {total} exceeds {SUM.bits} bits"
        y = v * multiplier + self.offset.view(-1, 1, 1)
        if self.shortcut is not None:
            assert added is not None, f"{self.name}: the shortcut is missing"
            self._add(self.shortcut, y, added)
        return (y >> self.shifts.view(-1, 1, 1)).clamp(self.low, self.high)

    def _read(self, codes: Tensor, beta: Tensor | None) -> Tensor:
        """Return the activations before their clamp."""
        r = self.read_shift
        if self.gain is None:
            return self.read_zero + ((codes - self.zero + half(r)) >> r)
        assert beta is not None, f"{self.name}: beta is missing"
        inverse = ((1 << (BETA.frac + GAIN_FRACTION)) + (beta >> 1)) // beta
        return (codes * inverse + half(r + GAIN_FRACTION)) >> (r + GAIN_FRACTION)

    def _add(self, shortcut: Shortcut, y: Tensor, added: Tensor) -> None:
        """Add the term of the shortcut to the sums ``y``."""
        picked = added[:, :, :: shortcut.stride, :: shortcut.stride] - self.shortcut_zero
        own = y.narrow(1, shortcut.channel_offset, added.shape[1])
        up = torch.full_like(self.offset, shortcut.shift)
        if self.half_octaves is not None:
            up += self.shifts
        up = up.narrow(0, shortcut.channel_offset, added.shape[1])
        own += (picked * shortcut.multiplier) << up.view(-1, 1, 1)


class FrozenPool(nn.Module):
    """Pool on codes.

    Parameters
    ----------
    name, input, output, kind, window : of the node.
    zero, form : z and the format of the codes of input and output.
    multiplier, shift : Mp and Sp of an average.
    """

    def __init__(
        self,
        *,
        name: str,
        input: str,
        output: str,
        kind: PoolKind,
        window: Window,
        zero: int,
        form: StreamFormat,
        multiplier: int,
        shift: int,
    ) -> None:
        super().__init__()
        self.name, self.input, self.output = name, input, output
        self.kind, self.window = kind, window
        self.zero, self.form = zero, form
        self.multiplier, self.shift = multiplier, shift

    def forward(self, codes: Tensor) -> Tensor:
        """Return the output codes of input codes (N, C, H, W), both int64."""
        above, left, below, right = self.window.pad
        pad = 0 if self.kind is PoolKind.MAX else self.zero
        codes = functional.pad(codes, (left, right, above, below), value=pad)
        height, width = self.window.kernel
        stride = self.window.stride
        windows = codes.unfold(2, height, stride).unfold(3, width, stride)  # (N, C, H, W, kh, kw)
        match self.kind:
            case PoolKind.MAX:
                return windows.amax((4, 5))
            case PoolKind.AVERAGE:
                centred = windows.sum((4, 5)) - height * width * self.zero
                mean = (centred * self.multiplier + half(self.shift)) >> self.shift
                low, high = self.form.low - self.zero, self.form.high - self.zero
                return mean.clamp(low, high) + self.zero


class FrozenModel(nn.Module):
    """Integer nodes in the order of execution.

    Parameters
    ----------
    tensors : description of every tensor by name, as in the graph.
    nodes : FrozenConvolution and FrozenPool; the last one makes the logits.
    """

    nodes: Sequence[FrozenConvolution | FrozenPool]

    def __init__(
        self,
        tensors: dict[str, graph.Tensor],
        nodes: Sequence[FrozenConvolution | FrozenPool],
    ) -> None:
        super().__init__()
        self.tensors = dict(tensors)
        self.nodes = cast("Sequence[FrozenConvolution | FrozenPool]", nn.ModuleList(nodes))

    @torch.no_grad()
    def evaluate(self, images: Tensor) -> Evaluation:
        """Return the logits and every tensor of raw bytes (N, C, H, W).

        Raises
        ------
        TypeError : ``images`` are not uint8.
        """
        if images.dtype != torch.uint8:
            raise TypeError(f"Images must be uint8 bytes, not {images.dtype}")
        values = {INPUT: images.long()}
        for node in self.nodes:
            if isinstance(node, FrozenConvolution):
                added = None if node.shortcut is None else values[node.shortcut.tensor]
                beta = None if node.gain is None else values[node.gain.tensor]
                values[node.output] = node(values[node.input], added, beta)
            else:
                values[node.output] = node(values[node.input])
            self._join(values)
        return Evaluation(values[self.nodes[-1].output].flatten(1), values)

    def _join(self, values: dict[str, Tensor]) -> None:
        """Add the concatenations whose parts are there; parts come before what has them."""
        for tensor in self.tensors.values():
            if tensor.parts and tensor.name not in values and values.keys() >= {*tensor.parts}:
                values[tensor.name] = torch.cat([values[name] for name in tensor.parts], 1)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits (N, classes), int64, of raw bytes (N, C, H, W)."""
        return self.evaluate(images).logits
