# SPDX-License-Identifier: Apache-2.0
"""From a trained quantised model to integers: batch norm and scales become M, D and S, or k."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from tritone import graph
from tritone.qat.adapters import AdaptiveQuantizer
from tritone.qat.constants import (
    negated_codes,
    octave_constants,
    requantizer_constants,
    scaled_levels,
    shortcut_constants,
    shortcut_octaves,
)
from tritone.qat.evaluate import BATCH
from tritone.qat.frozen import FrozenConvolution, FrozenModel, FrozenPool
from tritone.qat.modules import (
    INPUT,
    QuantizedConcatenation,
    QuantizedConvolution,
    QuantizedModel,
    QuantizedPool,
    average_constants,
)
from tritone.qat.sample import sample
from tritone.spec.fixed import (
    BETA,
    INPUT_STEP,
    INPUT_ZERO,
    LOGIT,
    MULTIPLIER,
    SQRT2_FRACTION,
    FixedFormat,
)

__all__ = ["LOGIT_HEADROOM", "freeze", "freeze_within", "largest_logit"]

# The logits of images that were not seen may be this much larger than those of the training set.
LOGIT_HEADROOM = 2
# Images that the largest logit is looked for in.
LOGIT_IMAGES = 5000


def freeze(model: QuantizedModel, images: Tensor) -> FrozenModel:
    """Return the integer model.

    Parameters
    ----------
    model : trained.
    images : raw bytes of the training set; the largest logit on LOGIT_IMAGES of them sets
        the step of the logits.

    Raises
    ------
    ValueError : a layer whose constants do not fit their formats.
    """
    return freeze_within(model, largest_logit(model, images))


def largest_logit(model: QuantizedModel, images: Tensor) -> float:
    """Return the largest magnitude of a real logit on LOGIT_IMAGES of ``images``.

    Raises
    ------
    ValueError : it is 0.
    """
    was_training = model.training
    model.eval()
    with torch.no_grad():
        batches = sample(images, LOGIT_IMAGES).split(BATCH)
        largest = max(float(model(batch).abs().max()) for batch in batches)
    model.train(was_training)
    if largest == 0:
        raise ValueError("Logits must not all be 0 on the training set; train the model first")
    return largest


def freeze_within(model: QuantizedModel, largest: float) -> FrozenModel:
    """Return the integer model; ``largest`` is that of the real logits, which sets their step.

    Raises
    ------
    ValueError : a layer whose constants do not fit their formats.
    """
    frozen = _Freezing(model.shapes[INPUT])
    for node in model.nodes:
        if isinstance(node, QuantizedConvolution):
            frozen.convolution(node, _logit_step(largest, node.half_octaves))
            if isinstance(node.output_quantizer, AdaptiveQuantizer):
                frozen.adapter(node.output, node.output_quantizer)
        elif isinstance(node, QuantizedPool):
            frozen.pool(node)
        else:
            frozen.concatenation(node)
    return FrozenModel(frozen.tensors, frozen.nodes)


def _logit_step(largest: float, power: bool) -> float:
    """Return the step of the logits: a power of two where multipliers are half octaves."""
    step = LOGIT_HEADROOM * largest / LOGIT.high
    return 2.0 ** math.ceil(math.log2(step)) if power else step


class _Freezing:
    """The tensors and nodes of a frozen model, as far as they are made."""

    def __init__(self, shape: tuple[int, int, int]) -> None:
        image = graph.Tensor(name=INPUT, shape=shape, zero=INPUT_ZERO, step=INPUT_STEP)
        self.tensors = {INPUT: image}
        self.nodes: list[FrozenConvolution | FrozenPool] = []
        # By tensor: the gain, and the bits of the consumers that read with it.
        self.gains: dict[str, tuple[graph.Gain, int]] = {}

    def pool(self, node: QuantizedPool) -> None:
        """Add a pool, which keeps the step of its input."""
        source = self.tensors[node.input]
        channels, *size = source.shape
        self.tensors[node.output] = graph.Tensor(
            name=node.output,
            shape=(channels, *node.window.output(*size)),
            zero=source.zero,
            step=source.step,
            stream_bits=source.stream_bits,
        )
        self.nodes.append(_freeze_pool(node, source))
        if node.input in self.gains:
            self.gains[node.output] = self.gains[node.input]

    def concatenation(self, node: QuantizedConcatenation) -> None:
        """Add a tensor that has parts; no node makes it."""
        parts = [self.tensors[name] for name in node.inputs]
        shape = (sum(part.shape[0] for part in parts), *parts[0].shape[1:])
        self.tensors[node.output] = replace(
            parts[0], name=node.output, shape=shape, parts=node.inputs
        )

    def convolution(self, node: QuantizedConvolution, wide_step: float) -> None:
        """Add a convolution; without a quantiser its result is wide and has that step."""
        source, quantizer = self.tensors[node.input], node.output_quantizer
        added = None if node.shortcut is None else self.tensors[node.shortcut.tensor]
        step = node.output_step(None if added is None else added.step)
        result = graph.Tensor(
            name=node.output,
            shape=(len(node.weight), *node.window.output(*source.shape[1:])),
            zero=0,
            step=wide_step if step is None else step,
            wide=quantizer is None,
        )
        if quantizer is not None:
            result = replace(result, zero=quantizer.zero, stream_bits=quantizer.grid.form.bits)
        self.tensors[node.output] = result
        gain, bits = self.gains.get(node.input, (None, 0))
        self.nodes.append(
            _freeze_convolution(
                node,
                source,
                result,
                added,
                gain if bits == node.bits else None,
            )
        )

    def adapter(self, tensor: str, quantizer: AdaptiveQuantizer) -> None:
        """Add the nodes that make beta of a tensor."""
        for node in quantizer.adapter.nodes:
            if isinstance(node, QuantizedPool):
                self.pool(node)
            else:
                self.convolution(node, 1 / (1 << BETA.frac))
        beta = self.nodes[-1]
        assert isinstance(beta, FrozenConvolution)
        form = quantizer.grid.form
        beta.low, beta.high = form.beta_low, form.beta_high
        gain = graph.Gain(
            tensor=beta.output, adapted=quantizer.adapted, headroom=quantizer.grid.headroom
        )
        self.gains[tensor] = gain, quantizer.bits


@torch.no_grad()
def _freeze_convolution(
    node: QuantizedConvolution,
    source: graph.Tensor,
    result: graph.Tensor,
    added: graph.Tensor | None,
    gain: graph.Gain | None,
) -> FrozenConvolution:
    quantizer = node.weight_quantizer
    book = quantizer.book
    read_shift = source.stream_bits - node.bits - (gain.headroom if gain else 0)
    worth = source.step * (1 << read_shift)
    restriction = node.gain(worth, None if added is None else added.step)
    # Real value of one unit of v.
    unit = quantizer.scales(node.weight, restriction).double() * (
        worth / (book.unit << SQRT2_FRACTION)
    )
    bias = torch.zeros_like(unit) if node.bias is None else node.bias.double()
    if node.norm is not None:
        norm = node.norm
        # Batch norm without running statistics is refused by convert.
        assert norm.running_mean is not None
        assert norm.running_var is not None
        slope = norm.weight.double() / torch.sqrt(norm.running_var.double() + norm.eps)
        unit = unit * slope
        bias = (bias - norm.running_mean.double()) * slope + norm.bias.double()
    lower = 0.0 if node.output_quantizer is None else node.output_quantizer.offset
    ratio, bias = unit / result.step, (bias - lower) / result.step
    codes = quantizer.codes(node.weight, restriction)
    half_octaves: Tensor | None = None
    if node.half_octaves:
        half_octaves, offset = octave_constants(node.name, ratio, bias, result.zero)
        multiplier, shift = torch.ones_like(offset), 0
        negated = negated_codes(book).to(codes.device)[codes.long()]
        codes = torch.where((ratio < 0).view(-1, 1, 1, 1), negated, codes)
    else:
        multiplier, offset, shift = requantizer_constants(
            node.name,
            ratio,
            bias,
            result.zero,
            source.form.adapted_high if gain and gain.adapted else MULTIPLIER.high,
        )
    limits: FixedFormat = LOGIT if result.wide else result.form
    # The code of real 0, where ReLU clamps.
    floor = result.zero + math.floor(0.5 - lower / result.step)
    shortcut = None
    if node.shortcut is not None and added is not None:
        by = added.step / result.step
        factor, up = (
            (1, shortcut_octaves(node.name, by))
            if node.half_octaves
            else shortcut_constants(node.name, by, shift, added.form.shortcut_shift_max)
        )
        shortcut = graph.Shortcut(**vars(node.shortcut), multiplier=factor, shift=up)
    return FrozenConvolution(
        name=node.name,
        input=node.input,
        output=node.output,
        window=node.window,
        codebook=book.name,
        codes=codes,
        scaled=scaled_levels(
            book,
            torch.zeros_like(offset) if half_octaves is None else half_octaves & 1,
        ),
        bits=node.bits,
        zero=source.zero,
        form=source.form,
        multiplier=multiplier,
        offset=offset,
        shift=shift,
        low=min(max(limits.low, floor), limits.high) if node.relu else limits.low,
        high=limits.high,
        half_octaves=half_octaves,
        groups=node.groups,
        shortcut=shortcut,
        shortcut_zero=0 if added is None else added.zero,
        gain=gain,
    )


def _freeze_pool(node: QuantizedPool, source: graph.Tensor) -> FrozenPool:
    multiplier, shift = 1, 0
    if node.kind is graph.PoolKind.AVERAGE:
        multiplier, shift = average_constants(node.window.kernel[0] * node.window.kernel[1])
    return FrozenPool(
        name=node.name,
        input=node.input,
        output=node.output,
        kind=node.kind,
        window=node.window,
        zero=source.zero,
        form=source.form,
        multiplier=multiplier,
        shift=shift,
    )
