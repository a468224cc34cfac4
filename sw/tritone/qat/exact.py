# SPDX-License-Identifier: Apache-2.0
"""Training on the integers themselves: the frozen model with gradients.

Every step freezes the network and computes what the frozen one computes, to the bit; gradients pass
every rounding straight through (tritone.qat.requantization), and a latent weight has the gradient
of its quantiser with a scale that is constant. Nothing but latent weights and biases learns:
neither steps nor scales nor the statistics of batch norm move.

Sums are exact because they are small: of whole numbers below 2**24 in float32, below 2**53 in
float64, whatever their order. An accelerator may convolve by transforms or round products, so there
all of them are float64.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from tritone import graph
from tritone.qat.adapters import AdaptiveQuantizer
from tritone.qat.estimators import StraightThrough, straight_through
from tritone.qat.freeze import freeze_within, largest_logit
from tritone.qat.frozen import FrozenConvolution, FrozenModel
from tritone.qat.modules import (
    INPUT,
    QuantizedConvolution,
    QuantizedModel,
    QuantizedNode,
    raw_input,
)
from tritone.qat.reading import Grid
from tritone.qat.requantization import Constants, Requantized, read_codes
from tritone.qat.streams import Stream
from tritone.spec.fixed import SQRT2, SQRT2_FRACTION, STREAM

__all__ = ["ExactModel"]

# Integers below it are exact in float32.
_EXACT_SINGLE = 1 << 24


class ExactModel(nn.Module):
    """The frozen model of ``model`` with gradients.

    Parameters
    ----------
    model : it is taken over: scales and norms keep what they have, and every estimator of weights
        is the straight-through one from here on.
    """

    largest: Tensor

    def __init__(self, model: QuantizedModel) -> None:
        super().__init__()
        self.model = model
        # Which logit the step of the logits was chosen for: 0 until ``start``.
        self.register_buffer("largest", torch.zeros((), dtype=torch.float64))
        model.requires_grad_(False)
        for node in _nodes(model):
            if not isinstance(node, QuantizedConvolution):
                continue
            node.weight_quantizer.estimator = StraightThrough()
            node.weight.requires_grad_(True)
            for bias in (node.bias, None if node.norm is None else node.norm.bias):
                if bias is not None:
                    bias.requires_grad_(True)

    def start(self, images: Tensor) -> None:
        """Choose the step of the logits from training images, as ``freeze`` does."""
        self.largest.fill_(largest_logit(self.model, images))

    def train(self, mode: bool = True) -> ExactModel:
        """Stay what it is: nothing depends on the mode, and the model is in evaluation."""
        super().train(mode)
        self.model.eval()
        return self

    def freeze(self) -> FrozenModel:
        """Return the frozen model that ``forward`` computes."""
        assert self.largest > 0, "the step of the logits is not chosen yet"
        return freeze_within(self.model, float(self.largest))

    def streams(self, images: Tensor) -> dict[str, Tensor]:
        """Return every tensor of raw bytes (N, C, H, W): codes, whole numbers in float32."""
        return self._evaluate(self.freeze(), images)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits (N, classes), the integers times their step, of raw bytes."""
        frozen = self.freeze()
        name = self.model.nodes[-1].output
        return (self._evaluate(frozen, images)[name] * frozen.tensors[name].step).flatten(1)

    def _evaluate(self, frozen: FrozenModel, images: Tensor) -> dict[str, Tensor]:
        values = {INPUT: raw_input(images)}
        constants = {each.output: each for each in frozen.nodes}
        for node in _nodes(self.model):
            own = constants.get(node.output)
            if isinstance(node, QuantizedConvolution):
                assert isinstance(own, FrozenConvolution)
                values[node.output] = _layer(node, own, frozen.tensors, values)
                continue
            # Training's pools and concatenations work on codes, and are exact.
            made, step = frozen.tensors[node.output], images.new_ones(())
            streams = [Stream(values[name], step, made.zero, made.form) for name in node.reads]
            values[node.output] = node(*streams).codes
        return values


def _nodes(model: QuantizedModel) -> Iterator[QuantizedNode]:
    """Return the nodes of a model, those of adapters too, in the order of execution."""
    for node in model.nodes:
        yield node
        quantizer = node.output_quantizer if isinstance(node, QuantizedConvolution) else None
        if isinstance(quantizer, AdaptiveQuantizer):
            yield from quantizer.adapter.nodes


def _layer(
    node: QuantizedConvolution,
    frozen: FrozenConvolution,
    tensors: dict[str, graph.Tensor],
    values: dict[str, Tensor],
) -> Tensor:
    """Return the output codes of a layer."""
    source, result = tensors[node.input], tensors[node.output]
    beside = None if node.shortcut is None else tensors[node.shortcut.tensor]
    gain = frozen.gain
    beta = None if gain is None else values[gain.tensor]
    grid = Grid(
        bits=frozen.bits,
        zero=frozen.zero,
        headroom=gain.headroom if gain else 0,
        form=frozen.form,
    )
    read = read_codes(values[node.input], grid, beta)  # (N, C, H, W)
    weight, unit = _weight(node, frozen, source.step * (1 << grid.shift), beside)
    bound = int(weight.detach().double().abs().flatten(1).sum(1).max()) * max(grid.high, -grid.low)
    if bound >= _EXACT_SINGLE or read.device.type != "cpu":
        read, weight = read.double(), weight.double()
    above, left, below, right = node.window.pad
    padding = (above, left)
    if (above, left) != (below, right):
        read, padding = functional.pad(read, (left, right, above, below)), (0, 0)
    sums = functional.conv2d(
        read, weight, stride=node.window.stride, padding=padding, groups=node.groups
    )
    added = None
    if node.shortcut is not None and beside is not None:
        codes = values[node.shortcut.tensor]
        added = node.shortcut.pick(codes - beside.zero if beside.zero else codes, sums.shape[1])
    constants = _constants(node, frozen, unit, beside)
    constants.require_exact(node.name, bound)
    written: Tensor = Requantized.apply(sums, _bias(node, result.step), added, beta, constants)
    return written


def _weight(
    node: QuantizedConvolution,
    frozen: FrozenConvolution,
    worth: float,
    beside: graph.Tensor | None,
) -> tuple[Tensor, int]:
    """Return what weights count, whole numbers with the gradient of the latent ones, and of what.

    That unit is the largest that all of them have in common in v. ``worth`` is the real size of an
    activation that is read, ``beside`` the tensor of the shortcut.
    """
    unit = int(np.gcd.reduce(frozen.scaled.cpu().numpy(), axis=None)) or 1
    levels = frozen.scaled.to(frozen.codes.device) // unit
    exact = levels.gather(1, frozen.codes.flatten(1).long()).view_as(frozen.codes)
    quantizer = node.weight_quantizer
    restriction = node.gain(worth, None if beside is None else beside.step)
    # What training multiplies levels by, and what v counts a level of 1: the factor between them.
    one = (quantizer.book.unit << SQRT2_FRACTION) / unit
    factor = one / quantizer.scales(node.weight, restriction)
    if frozen.half_octaves is not None:
        factor = torch.where(frozen.half_octaves % 2 == 1, SQRT2, 1.0) * factor
        if node.norm is not None:
            factor = factor * node.norm.weight.sign()
    smooth = quantizer(node.weight, restriction) * factor.view(-1, 1, 1, 1).to(node.weight.dtype)
    return straight_through(exact.to(smooth.dtype), smooth), unit


def _bias(node: QuantizedConvolution, step: float) -> Tensor:
    """Return what has the gradient of D / 2**S: the biases in codes."""
    total = node.weight.new_zeros(len(node.weight)) if node.bias is None else node.bias
    if node.norm is not None:
        norm = node.norm
        # Batch norm without running statistics is refused by convert.
        assert norm.running_var is not None
        total = total * (norm.weight / torch.sqrt(norm.running_var + norm.eps)) + norm.bias
    return total / step


def _constants(
    node: QuantizedConvolution,
    frozen: FrozenConvolution,
    unit: int,
    beside: graph.Tensor | None,
) -> Constants:
    shifts = frozen.shifts
    shortcut = None
    if frozen.shortcut is not None:
        up = frozen.shortcut.shift + (0 if frozen.half_octaves is None else shifts)
        shortcut = frozen.shortcut.multiplier * torch.exp2(torch.as_tensor(up).double())
    passing = (float(frozen.low), float(frozen.high))
    if node.output_quantizer is None:
        # Logits, and beta: its bounds pass gradients, its ReLU does not.
        passing = (0.0 if node.relu else -math.inf, math.inf)
    return Constants(
        multiplier=frozen.multiplier.double(),
        shortcut=shortcut,
        offset=frozen.offset.double(),
        scale=torch.exp2(-shifts.double()),
        low=frozen.low,
        high=frozen.high,
        passing=passing,
        unit=unit,
        adapted=frozen.gain is not None and frozen.gain.adapted,
        beta_high=frozen.form.beta_high,
        shortcut_high=STREAM.high if beside is None else beside.form.high,
    )
