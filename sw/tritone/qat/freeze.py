# SPDX-License-Identifier: Apache-2.0
"""From a trained quantised model to integers: batch norm and scales become M, D and S."""

from __future__ import annotations

import math
from fractions import Fraction

import torch
from torch import Tensor

from tritone import graph
from tritone.qat.evaluate import BATCH
from tritone.qat.frozen import FrozenConvolution, FrozenModel, FrozenPool
from tritone.qat.modules import (
    INPUT,
    QuantizedConvolution,
    QuantizedModel,
    QuantizedPool,
    average_constants,
)
from tritone.spec.codebook import Codebook
from tritone.spec.fixed import (
    INPUT_STEP,
    INPUT_ZERO,
    LOGIT,
    MULTIPLIER,
    OFFSET,
    SHIFT_MAX,
    SHORTCUT_SHIFT_MAX,
    SQRT2_FRACTION,
    STREAM,
    half,
)

__all__ = ["LOGIT_HEADROOM", "freeze", "requantizer_constants", "shortcut_constants"]

# The logits of images that were not seen may be this much larger than those of the training set.
LOGIT_HEADROOM = 2


def freeze(model: QuantizedModel, images: Tensor) -> FrozenModel:
    """Return the integer model.

    Parameters
    ----------
    model : trained.
    images : raw bytes of the training set; the largest logit on them sets the step of the logits.

    Raises
    ------
    ValueError : a layer whose constants do not fit their formats.
    """
    was_training = model.training
    model.eval()
    with torch.no_grad():
        largest = max(float(model(batch).abs().max()) for batch in images.split(BATCH))
    model.train(was_training)
    if largest == 0:
        raise ValueError("Logits must not all be 0 on the training set; train the model first")
    logits = model.nodes[-1].output
    tensors = {
        INPUT: graph.Tensor(name=INPUT, shape=model.shapes[INPUT], zero=INPUT_ZERO, step=INPUT_STEP)
    }
    nodes: list[FrozenConvolution | FrozenPool] = []
    for node in model.nodes:
        source, shape = tensors[node.input], model.shapes[node.output]
        if not isinstance(node, QuantizedConvolution):
            tensors[node.output] = graph.Tensor(
                name=node.output, shape=shape, zero=source.zero, step=source.step
            )
            nodes.append(_freeze_pool(node, source.zero))
            continue
        if node.output_quantizer is None:
            step, zero = LOGIT_HEADROOM * largest / LOGIT.high, 0
        else:
            step, zero = node.output_quantizer.step, node.output_quantizer.zero
        tensors[node.output] = graph.Tensor(
            name=node.output, shape=shape, zero=zero, step=step, wide=node.output == logits
        )
        added = None if node.shortcut is None else tensors[node.shortcut.tensor]
        nodes.append(_freeze_convolution(node, source, tensors[node.output], added))
    return FrozenModel(tensors, nodes)


def requantizer_constants(
    name: str, gain: Tensor, bias: Tensor, zero: int
) -> tuple[Tensor, Tensor, int]:
    """Return M, D (int64) and S of ``y = gain * v + bias + zero``, rounded half up.

    Parameters
    ----------
    name : of the layer, for messages.
    gain : codes per unit of v, for each channel, float64.
    bias : codes, for each channel, float64.
    zero : z of the output.
    """
    shift = SHIFT_MAX
    while shift > 0 and _round(gain * 2.0**shift).abs().max() > MULTIPLIER.high:
        shift -= 1
    multiplier = _round(gain * 2.0**shift)
    offset = _round((bias + zero) * 2.0**shift) + half(shift)
    for label, values, fixed in (("M", multiplier, MULTIPLIER), ("D", offset, OFFSET)):
        if not bool(((values >= fixed.low) & (values <= fixed.high)).all()):
            raise ValueError(
                f"Layer {name} must have {label} in {fixed.bits} signed bits, "
                f"not {float(values.abs().max()):.3g}"
            )
    return multiplier.long(), offset.long(), shift


def shortcut_constants(name: str, ratio: float, shift: int) -> tuple[int, int]:
    """Return K and t of ``(k - z_k) * ratio`` added to a sum that is shifted by ``shift``.

    t is the smallest for which K = round(ratio * 2**(shift - t)) fits.

    Parameters
    ----------
    name : of the layer, for messages.
    ratio : step of the shortcut tensor over that of the result.
    """
    exact = Fraction(ratio) * (1 << shift)
    for t in range(SHORTCUT_SHIFT_MAX + 1):
        multiplier = math.floor(exact / (1 << t) + Fraction(1, 2))
        if multiplier <= MULTIPLIER.high:
            return multiplier, t
    raise ValueError(
        f"Layer {name} must add a shortcut of at most "
        f"{MULTIPLIER.high << SHORTCUT_SHIFT_MAX >> shift} of its own steps, not {ratio:.3g}"
    )


def _round(value: Tensor) -> Tensor:
    """Return ``value`` rounded half up, still float64: integers below 2**53 are exact."""
    return torch.floor(value + 0.5)


def _scaled_levels(book: Codebook) -> Tensor:
    """Return 128 times the level of each code, 0 for codes that are not used."""
    return torch.tensor([0 if level is None else level.scaled for level in book.levels])


@torch.no_grad()
def _freeze_convolution(
    node: QuantizedConvolution,
    source: graph.Tensor,
    result: graph.Tensor,
    added: graph.Tensor | None,
) -> FrozenConvolution:
    quantizer = node.weight_quantizer
    book = quantizer.book
    # Real value of one unit of v.
    unit = quantizer.scales(node.weight).double() * (
        source.step * (1 << node.read_shift) / (book.unit << SQRT2_FRACTION)
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
    multiplier, offset, shift = requantizer_constants(
        node.name, unit / result.step, bias / result.step, result.zero
    )
    limits = LOGIT if result.wide else STREAM
    shortcut = None
    if node.shortcut is not None and added is not None:
        factor, up = shortcut_constants(node.name, added.step / result.step, shift)
        shortcut = graph.Shortcut(**vars(node.shortcut), multiplier=factor, shift=up)
    return FrozenConvolution(
        name=node.name,
        input=node.input,
        output=node.output,
        window=node.window,
        codebook=book.name,
        codes=quantizer.codes(node.weight),
        scaled=_scaled_levels(book),
        bits=node.bits,
        zero=source.zero,
        multiplier=multiplier,
        offset=offset,
        shift=shift,
        low=max(limits.low, result.zero) if node.relu else limits.low,
        high=limits.high,
        groups=node.groups,
        shortcut=shortcut,
        shortcut_zero=0 if added is None else added.zero,
    )


def _freeze_pool(node: QuantizedPool, zero: int) -> FrozenPool:
    multiplier, shift = 1, 0
    if node.kind is graph.PoolKind.AVERAGE:
        multiplier, shift = average_constants(node.window.kernel[0] * node.window.kernel[1])
    return FrozenPool(
        name=node.name,
        input=node.input,
        output=node.output,
        kind=node.kind,
        window=node.window,
        zero=zero,
        multiplier=multiplier,
        shift=shift,
    )
