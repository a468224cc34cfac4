# SPDX-License-Identifier: Apache-2.0
"""Layers that train with quantised weights and streams; batch norm stays unfolded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from tritone.graph import PoolKind, Window
from tritone.qat.activations import ActivationQuantizer, nearest_octave
from tritone.qat.estimators import straight_through
from tritone.qat.quantizers import WeightQuantizer
from tritone.qat.streams import JoinedStream, Stream
from tritone.spec.fixed import (
    INPUT_STEP,
    INPUT_ZERO,
    MULTIPLIER,
    SQRT2_FRACTION,
    StreamFormat,
    half,
)

__all__ = [
    "INPUT",
    "QuantizedConcatenation",
    "QuantizedConvolution",
    "QuantizedModel",
    "QuantizedNode",
    "QuantizedPool",
    "Residual",
    "average_constants",
    "raw_input",
    "real_input",
]

# Name of the tensor that the image bytes make.
INPUT = "input"


def raw_input(images: Tensor) -> Tensor:
    """Return raw bytes (N, C, H, W) as float32, channels last: so convolutions take less time."""
    return images.to(torch.float32, memory_format=torch.channels_last)


def real_input(images: Tensor) -> Tensor:
    """Return what raw bytes mean, float32: ``(u - 128) / 64``."""
    return (raw_input(images) - INPUT_ZERO) * INPUT_STEP


def average_constants(size: int) -> tuple[int, int]:
    """Return Mp and Sp of an average over ``size`` codes.

    Sp is the largest with ``Mp = round(2**Sp / size)`` in range.
    """
    shift = 0
    while round((2 << shift) / size) <= MULTIPLIER.high:
        shift += 1
    return round((1 << shift) / size), shift


@dataclass(frozen=True, kw_only=True)
class Residual:
    """What a layer adds: every ``stride``-th pixel of ``tensor``.

    Channel c of it is added to channel ``channel_offset + c``; the others get nothing.
    """

    tensor: str
    stride: int = 1
    channel_offset: int = 0

    def pick(self, codes: Tensor, channels: int) -> Tensor:
        """Return what is added to a layer of ``channels`` channels, in the units of ``codes``."""
        picked = codes[:, :, :: self.stride, :: self.stride]
        behind = channels - self.channel_offset - codes.shape[1]
        if self.channel_offset == behind == 0:
            return picked
        return functional.pad(picked, (0, 0, 0, 0, self.channel_offset, behind))


class QuantizedConvolution(nn.Module):
    """Convolution or linear layer with batch norm, residual add, ReLU and its output's quantiser.

    Parameters
    ----------
    name, input, output : of the node and its tensors.
    window : kernel, stride and padding.
    weight : (out channels, in channels of a group, kernel height, kernel width); copied.
    groups : of channels.
    bias : (out channels,) or None; copied.
    norm : batch norm of the output or None.
    shortcut : what is added behind the batch norm, or None.
    relu : clamp at 0.
    bits : width of the activations that it reads.
    weight_quantizer : of ``weight``'s channels.
    output_quantizer : None for the layer that makes the logits.
    half_octaves : the multiplier of each channel is a power of sqrt 2, what a logit counts is a
        power of two, and the output's step is that of the shortcut's tensor times one.
    """

    def __init__(
        self,
        *,
        name: str,
        input: str,
        output: str,
        window: Window,
        weight: Tensor,
        bias: Tensor | None,
        groups: int = 1,
        norm: nn.BatchNorm2d | None,
        shortcut: Residual | None = None,
        relu: bool,
        bits: int,
        weight_quantizer: WeightQuantizer,
        output_quantizer: ActivationQuantizer | None,
        half_octaves: bool = False,
    ) -> None:
        super().__init__()
        self.name, self.input, self.output = name, input, output
        self.window = window
        self.weight = nn.Parameter(weight.detach().clone())
        self.bias = None if bias is None else nn.Parameter(bias.detach().clone())
        self.groups = groups
        self.norm = norm
        self.shortcut = shortcut
        self.relu = relu
        self.bits = bits
        self.weight_quantizer = weight_quantizer
        self.output_quantizer = output_quantizer
        self.half_octaves = half_octaves
        weight_quantizer.to(self.weight.device).initialize(self.weight)

    @property
    def reads(self) -> tuple[str, ...]:
        """The tensors that ``forward`` takes."""
        return (self.input,) if self.shortcut is None else (self.input, self.shortcut.tensor)

    def output_step(self, added: float | None = None) -> float | None:
        """Return the real size of one code of the output; None for logits.

        ``added`` is that of the shortcut's tensor.
        """
        if self.output_quantizer is None:
            return None
        step = self.output_quantizer.step
        return step if added is None or not self.half_octaves else nearest_octave(step, added)

    @torch.no_grad()
    def gain(self, worth: Tensor | float, added: float | None = None) -> Tensor | None:
        """Return each channel's multiplier over its scale, if it must become a power of sqrt 2.

        The statistics of batch norm are the running ones. A weight that the scale is moved for is
        rounded with the moved scale, so that the batch norm behind it cannot take that back.

        Parameters
        ----------
        worth : what an activation that it reads is worth, ``2**r * s``.
        added : real size of one code of the shortcut's tensor.
        """
        quantizer = self.output_quantizer
        if not self.half_octaves or (quantizer is not None and not quantizer.initialized):
            return None
        unit = worth / (self.weight_quantizer.book.unit << SQRT2_FRACTION)
        gain = torch.full((len(self.weight),), float(unit), dtype=torch.float64)
        gain = gain.to(self.weight.device)
        if self.norm is not None:
            # Batch norm without running statistics is refused by convert.
            assert self.norm.running_var is not None
            gain *= self.norm.weight / torch.sqrt(self.norm.running_var.double() + self.norm.eps)
        own = self.output_step(added)
        return gain if own is None else gain / own

    def forward(self, stream: Stream, added: Stream | None = None) -> Stream | Tensor:
        """Return the output stream, or the real logits (N, classes, 1, 1).

        ``added`` is the tensor of the shortcut.
        """
        beside = None if added is None else float(added.step.detach())
        worth = stream.step * (1 << (stream.form.bits - self.bits))
        x = stream.values(self.bits)  # (N, C, H, W)
        top, left, bottom, right = self.window.pad
        padding = (top, left)
        if (top, left) != (bottom, right):
            x, padding = functional.pad(x, (left, right, top, bottom)), (0, 0)
        result = functional.conv2d(
            x,
            self.weight_quantizer(self.weight, self.gain(worth, beside)),
            self.bias,
            stride=self.window.stride,
            padding=padding,
            groups=self.groups,
        )
        x = result.to(x.dtype)  # of another one inside of torch.autocast
        if self.norm is not None:
            x = self.norm(x)
        if self.shortcut is not None:
            assert added is not None, f"{self.name}: the shortcut is missing"
            x = x + self.shortcut.pick(added.values(added.form.bits), x.shape[1])
        if self.output_quantizer is not None:
            if added is not None and self.half_octaves:
                return self.output_quantizer(x, added.step)
            if self.relu and self.output_quantizer.zero:
                x = functional.relu(x)  # a part of a tensor that is signed elsewhere
            return self.output_quantizer(x)  # unsigned: what is negative counts as 0
        return functional.relu(x) if self.relu else x


class QuantizedPool(nn.Module):
    """Pool on stream codes; it keeps step and zero.

    Parameters
    ----------
    name, input, output : of the node and its tensors.
    kind, window : as in the graph.
    """

    def __init__(
        self, *, name: str, input: str, output: str, kind: PoolKind, window: Window
    ) -> None:
        super().__init__()
        self.name, self.input, self.output = name, input, output
        self.kind, self.window = kind, window

    @property
    def reads(self) -> tuple[str, ...]:
        """The tensors that ``forward`` takes."""
        return (self.input,)

    def forward(self, stream: Stream) -> Stream:
        """Return the pooled stream."""
        top, left, bottom, right = self.window.pad
        around = (left, right, top, bottom)
        centred = stream.codes - stream.zero
        match self.kind:
            case PoolKind.MAX:
                padded = functional.pad(centred, around, value=float(-stream.zero))
                pooled = functional.max_pool2d(padded, self.window.kernel, self.window.stride)
            case PoolKind.AVERAGE:
                pooled = self._average(functional.pad(centred, around), stream)
        return stream.replace_codes(pooled + stream.zero)

    def _average(self, centred: Tensor, stream: Stream) -> Tensor:
        size = self.window.kernel[0] * self.window.kernel[1]
        mean = functional.avg_pool2d(centred, self.window.kernel, self.window.stride)
        with torch.no_grad():
            # Sums of whole numbers below 2**24 are exact in float32.
            exact_type = torch.float32 if size * stream.form.high < 1 << 24 else torch.float64
            total = functional.avg_pool2d(
                centred.to(exact_type), self.window.kernel, self.window.stride, divisor_override=1
            )
        return self.round_mean(total, mean, stream.zero, stream.form)

    def round_mean(self, total: Tensor, mean: Tensor, zero: int, form: StreamFormat) -> Tensor:
        """Return the average of codes less ``zero``, rounded; ``mean`` has the gradient.

        Parameters
        ----------
        total : exact sums over the window.
        form : of the codes.
        """
        size = self.window.kernel[0] * self.window.kernel[1]
        multiplier, shift = average_constants(size)
        # In float64 products are exact: 12 + 15 bits and the bits of the size.
        exact = torch.floor((total.detach().double() * multiplier + half(shift)) / (1 << shift))
        exact = exact.clamp(form.low - zero, form.high - zero)
        return straight_through(exact.to(mean.dtype), mean)


class QuantizedConcatenation(nn.Module):
    """Channels one behind the other, of streams that have one quantiser.

    Parameters
    ----------
    name, output : of the node and its tensor.
    inputs : tensors.
    """

    def __init__(self, *, name: str, output: str, inputs: tuple[str, ...]) -> None:
        super().__init__()
        self.name, self.output, self.inputs = name, output, inputs

    @property
    def reads(self) -> tuple[str, ...]:
        """The tensors that ``forward`` takes."""
        return self.inputs

    def forward(self, *streams: Stream) -> Stream:
        """Return the stream of all of them."""
        return JoinedStream(streams)


# What a quantised model is made of.
QuantizedNode = QuantizedConvolution | QuantizedPool | QuantizedConcatenation


class QuantizedModel(nn.Module):
    """Nodes in the order of execution, each reading tensors by name.

    Parameters
    ----------
    shapes : channels, height and width of every tensor.
    nodes : layers, pools and concatenations; the last one makes the logits.
    """

    nodes: Sequence[QuantizedNode]

    def __init__(
        self, shapes: dict[str, tuple[int, int, int]], nodes: Sequence[QuantizedNode]
    ) -> None:
        super().__init__()
        self.shapes = dict(shapes)
        self.nodes = cast("Sequence[QuantizedNode]", nn.ModuleList(nodes))
        # By tensor what its layers read, and the tensors that shortcuts read, all bits of them.
        self._widths: dict[str, set[int]] = {}
        self._added: set[str] = set()
        for node in nodes:
            if isinstance(node, QuantizedConvolution):
                self._widths.setdefault(node.input, set()).add(node.bits)
                if node.shortcut is not None:
                    self._added.add(node.shortcut.tensor)

    def forward(self, images: Tensor) -> Tensor:
        """Return the real logits (N, classes) of raw bytes (N, C, H, W)."""
        step = torch.tensor(INPUT_STEP, device=images.device)
        values = {INPUT: Stream(raw_input(images), step, INPUT_ZERO)}
        for node in self.nodes:
            made = values[node.output] = node(*(values[name] for name in node.reads))
            widths = self._widths.get(node.output, set())
            if node.output in self._added:
                widths = widths | {made.form.bits}
            if len(widths) > 1:
                made.expect(sorted(widths))
        logits: Any = values[self.nodes[-1].output]  # a plain tensor, of the last layer only
        return logits.flatten(1)
