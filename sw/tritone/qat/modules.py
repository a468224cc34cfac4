# SPDX-License-Identifier: Apache-2.0
"""Layers that train with quantised weights and streams; batch norm stays unfolded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from tritone.graph import PoolKind, Window
from tritone.qat.activations import ActivationQuantizer
from tritone.qat.estimators import straight_through
from tritone.qat.quantizers import WeightQuantizer
from tritone.qat.streams import Stream, read
from tritone.spec.fixed import INPUT_STEP, INPUT_ZERO, MULTIPLIER, STREAM, half

__all__ = [
    "INPUT",
    "QuantizedConvolution",
    "QuantizedModel",
    "QuantizedPool",
    "average_constants",
    "real_input",
]

# Name of the tensor that the image bytes make.
INPUT = "input"


def real_input(images: Tensor) -> Tensor:
    """Return what raw bytes mean, float32: ``(u - 128) / 64``."""
    return (images.to(torch.float32) - INPUT_ZERO) * INPUT_STEP


def average_constants(size: int) -> tuple[int, int]:
    """Return Mp and Sp of an average over ``size`` codes.

    Sp is the largest with ``Mp = round(2**Sp / size)`` in range.
    """
    shift = 0
    while round((2 << shift) / size) <= MULTIPLIER.high:
        shift += 1
    return round((1 << shift) / size), shift


class QuantizedConvolution(nn.Module):
    """Convolution or linear layer with its batch norm, ReLU and the quantiser of its output.

    Parameters
    ----------
    name, input, output : of the node and its tensors.
    window : kernel, stride and padding.
    weight : (out channels, in channels, kernel height, kernel width); copied.
    bias : (out channels,) or None; copied.
    norm : batch norm of the output or None.
    relu : clamp at 0.
    bits : width of the activations that it reads.
    weight_quantizer : of ``weight``'s channels.
    output_quantizer : None for the layer that makes the logits.
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
        norm: nn.BatchNorm2d | None,
        relu: bool,
        bits: int,
        weight_quantizer: WeightQuantizer,
        output_quantizer: ActivationQuantizer | None,
    ) -> None:
        super().__init__()
        self.name, self.input, self.output = name, input, output
        self.window = window
        self.weight = nn.Parameter(weight.detach().clone())
        self.bias = None if bias is None else nn.Parameter(bias.detach().clone())
        self.norm = norm
        self.relu = relu
        self.bits = bits
        self.weight_quantizer = weight_quantizer
        self.output_quantizer = output_quantizer
        weight_quantizer.initialize(self.weight)

    @property
    def read_shift(self) -> int:
        """r of the reader."""
        return STREAM.bits - self.bits

    def forward(self, stream: Stream) -> Stream | Tensor:
        """Return the output stream, or the real logits (N, classes, 1, 1)."""
        x = read(stream, self.bits) * (stream.step * (1 << self.read_shift))  # (N, C, H, W)
        top, left, bottom, right = self.window.pad
        x = functional.pad(x, (left, right, top, bottom))
        x = functional.conv2d(
            x, self.weight_quantizer(self.weight), self.bias, stride=self.window.stride
        )
        if self.norm is not None:
            x = self.norm(x)
        if self.relu:
            x = functional.relu(x)
        return x if self.output_quantizer is None else self.output_quantizer(x)


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
                pooled = self._average(functional.pad(centred, around), stream.zero)
        return stream._replace(codes=pooled + stream.zero)

    def _average(self, centred: Tensor, zero: int) -> Tensor:
        size = self.window.kernel[0] * self.window.kernel[1]
        multiplier, shift = average_constants(size)
        mean = functional.avg_pool2d(centred, self.window.kernel, self.window.stride)
        with torch.no_grad():
            # In float64 sums and products are exact: 8 + 15 bits and the bits of the size.
            total = functional.avg_pool2d(
                centred.double(), self.window.kernel, self.window.stride, divisor_override=1
            )
            exact = torch.floor((total * multiplier + half(shift)) / (1 << shift))
            exact = exact.clamp(STREAM.low - zero, STREAM.high - zero).to(centred.dtype)
        return straight_through(exact, mean)


class QuantizedModel(nn.Module):
    """Nodes in the order of execution, each reading a tensor by name.

    Parameters
    ----------
    shapes : channels, height and width of every tensor.
    nodes : layers and pools; the last one makes the logits.
    """

    nodes: Sequence[QuantizedConvolution | QuantizedPool]

    def __init__(
        self,
        shapes: dict[str, tuple[int, int, int]],
        nodes: list[QuantizedConvolution | QuantizedPool],
    ) -> None:
        super().__init__()
        self.shapes = dict(shapes)
        modules = nn.ModuleList(nodes)
        self.nodes = cast("Sequence[QuantizedConvolution | QuantizedPool]", modules)

    def forward(self, images: Tensor) -> Tensor:
        """Return the real logits (N, classes) of raw bytes (N, C, H, W)."""
        step = torch.tensor(INPUT_STEP, device=images.device)
        values = {INPUT: Stream(images.to(torch.float32), step, INPUT_ZERO)}
        for node in self.nodes:
            values[node.output] = node(values[node.input])
        logits: Any = values[self.nodes[-1].output]  # a plain tensor, of the last layer only
        return logits.flatten(1)
