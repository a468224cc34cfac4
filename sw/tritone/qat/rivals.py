# SPDX-License-Identifier: Apache-2.0
"""What the benchmark compares with: LSQ as most write it, and Brevitas.

They replace the convolutions of a network: 4-bit weights by channel, 4-bit activations, 8 bits
where the image is read. Nothing else is quantised, but Brevitas can have what streams are too: the
result of every ReLU in 8 bits, which convolutions round to 4 and residual adds take as it is, and a
linear layer of 8 bits.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from tritone.qat.estimators import SCALE_FLOOR, round_half_up, scale_gradient, straight_through

__all__ = ["PlainConvolution", "brevitas_network", "plain_network"]

MIDDLE_BITS = 4
EDGE_BITS = 8


class PlainConvolution(nn.Module):
    """LSQ (Esser et al., ICLR 2020) on weights and input, each in operations of torch."""

    def __init__(self, inner: nn.Conv2d, bits: int, signed: bool) -> None:
        super().__init__()
        self.inner = inner
        top = (1 << (bits - 1)) - 1
        self.weight_range = (-top, top)
        self.range = (-top - 1, top) if signed else (0, (1 << bits) - 1)
        magnitude = inner.weight.detach().flatten(1).abs().mean(1)
        self.weight_step = nn.Parameter((2 * magnitude / top**0.5).view(-1, 1, 1, 1))
        self.step = nn.Parameter(torch.ones(()))
        self.started = False

    @staticmethod
    def _quantize(x: Tensor, step: Tensor, low: int, high: int, count: int) -> Tensor:
        step = scale_gradient(step, (count * high) ** -0.5)
        v = (x / step).clamp(low, high)
        return straight_through(round_half_up(v), v) * step

    def forward(self, x: Tensor) -> Tensor:
        """Return the convolution of what both are rounded to."""
        if not self.started:
            with torch.no_grad():
                start = 2 * x.abs().mean() / self.range[1] ** 0.5
                self.step.copy_(start.clamp_min(SCALE_FLOOR))
            self.started = True
        weight = self.inner.weight
        count = weight[0].numel()
        weight = self._quantize(weight, self.weight_step, *self.weight_range, count)
        x = self._quantize(x, self.step, *self.range, x.numel())
        return functional.conv2d(x, weight, self.inner.bias, self.inner.stride, self.inner.padding)


def _replace(model: nn.Module, make: Callable[[nn.Conv2d, bool], nn.Module]) -> nn.Module:
    """Replace the convolutions; ``make`` gets each and whether it is the first."""
    places = [
        (parent, name, child)
        for parent in model.modules()
        for name, child in parent.named_children()
        if isinstance(child, nn.Conv2d)
    ]
    for index, (parent, name, child) in enumerate(places):
        setattr(parent, name, make(child, index == 0))
    return model


def plain_network(model: nn.Module) -> nn.Module:
    """Return ``model`` with PlainConvolution everywhere."""
    return _replace(
        model,
        lambda inner, first: PlainConvolution(inner, EDGE_BITS if first else MIDDLE_BITS, first),
    )


def brevitas_network(model: nn.Module, *, streams: bool = False) -> nn.Module | None:
    """Return ``model`` with the layers of Brevitas; None where that is not installed.

    Parameters
    ----------
    streams : the results of ReLUs and the linear layers are quantised too, with 8 bits.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it imports what newer versions deprecate
        try:
            from brevitas import nn as quantized
            from brevitas.quant import (
                Int8ActPerTensorFloat,
                Int8WeightPerChannelFloat,
                Uint8ActPerTensorFloat,
            )
        except ImportError:
            return None

    def make(inner: nn.Conv2d, first: bool) -> Any:
        bits = EDGE_BITS if first else MIDDLE_BITS
        return quantized.QuantConv2d(
            inner.in_channels,
            inner.out_channels,
            inner.kernel_size,
            stride=inner.stride,
            padding=inner.padding,
            bias=inner.bias is not None,
            weight_quant=Int8WeightPerChannelFloat,
            weight_bit_width=bits,
            input_quant=Int8ActPerTensorFloat if first else Uint8ActPerTensorFloat,
            input_bit_width=bits,
        )

    if not streams:
        return _replace(model, make)
    traced = fx.symbolic_trace(model)
    for node in list(traced.graph.nodes):
        if node.target is functional.relu:
            activation = quantized.QuantReLU(act_quant=Uint8ActPerTensorFloat, bit_width=EDGE_BITS)
            traced.add_submodule(f"stream_{node.name}", activation)
            with traced.graph.inserting_before(node):
                made = traced.graph.call_module(f"stream_{node.name}", node.args)
            node.replace_all_uses_with(made)
            traced.graph.erase_node(node)
        elif node.op == "call_module" and isinstance(traced.get_submodule(node.target), nn.Linear):
            inner = traced.get_submodule(node.target)
            linear = quantized.QuantLinear(
                inner.in_features,
                inner.out_features,
                inner.bias is not None,
                weight_quant=Int8WeightPerChannelFloat,
                weight_bit_width=EDGE_BITS,
                input_quant=Uint8ActPerTensorFloat,
                input_bit_width=EDGE_BITS,
            )
            traced.add_submodule(node.target, linear)
    traced.recompile()
    return _replace(traced, make)
