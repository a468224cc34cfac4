# SPDX-License-Identifier: Apache-2.0
"""From a full-precision module to a quantised one."""

from __future__ import annotations

import copy

from torch import nn

from tritone.graph import PoolKind
from tritone.qat.activation_method import build_activation_quantizer
from tritone.qat.activations import ActivationQuantizer
from tritone.qat.determinism import tensor_seed
from tritone.qat.draft import Draft, draft
from tritone.qat.method import LayerChoice, Method
from tritone.qat.modules import (
    QuantizedConcatenation,
    QuantizedConvolution,
    QuantizedModel,
    QuantizedNode,
    QuantizedPool,
)
from tritone.qat.parts import JoinPart, LayerPart, PoolPart, Shape
from tritone.qat.precision import Multipliers, Precision
from tritone.qat.quantizers import build_weight_quantizer
from tritone.spec.catalog import codebook
from tritone.spec.fixed import ACTIVATION

__all__ = ["convert"]

_DEFAULT = Method()


def convert(
    model: nn.Module,
    shape: Shape,
    precision: Precision,
    method: Method = _DEFAULT,
    seed: int = 0,
) -> QuantizedModel:
    """Return a quantised model with copies of the weights of ``model``, on their device.

    Parameters
    ----------
    model : traceable by torch.fx; reads ``(u - 128) / 64`` of the raw bytes u.
    shape : channels, height and width of the image.
    precision : bits of the layers.
    method : how they are quantised, and which layers are exceptions.
    seed : of the noise of the estimator noise and of the first weights of asq's adapters. Nothing
        else is random, and torch's global generator is not used.

    Raises
    ------
    ValueError : an operator, or an order of operators, that the machine does not have; it is named.
        An exception for layers that are not there.
    """
    parts = draft(model, shape)
    method.require_layers(parts.layers)
    choices = {
        name: method.choose(precision, name, parts.is_edge(part))
        for name, part in parts.layers.items()
    }
    grids = _grids(parts, {name: choice.act_bits for name, choice in choices.items()})
    quantizers = _quantizers(parts, precision, method, grids, seed)
    half_octaves = precision.multipliers is Multipliers.HALF_OCTAVE
    nodes: list[QuantizedNode] = []
    for name, part in parts.parts.items():
        match part:
            case PoolPart():
                if half_octaves:
                    _require_power_of_two(part)
                nodes.append(QuantizedPool(output=name, **vars(part)))
            case JoinPart():
                nodes.append(QuantizedConcatenation(output=name, **vars(part)))
            case LayerPart():
                quantizer = None if name == parts.logits else quantizers[parts.origins[name]]
                nodes.append(_convolution(part, choices[name], quantizer, half_octaves, seed))
    device = next(iter(parts.layers.values())).weight.device
    return QuantizedModel(parts.shapes, nodes).to(device)


def _quantizers(
    parts: Draft, precision: Precision, method: Method, grids: dict[str, int], seed: int
) -> dict[str, ActivationQuantizer]:
    """Return the quantisers of all tensors but the logits, by the first layer that has each."""
    made = {}
    for name in dict.fromkeys(parts.origins[each] for each in parts.parts if each in parts.layers):
        if name == parts.logits:
            continue
        layers = [part for each, part in parts.layers.items() if parts.origins[each] == name]
        if len(layers) > 1 and precision.multipliers is Multipliers.HALF_OCTAVE:
            for layer in layers:
                if layer.shortcut is not None:
                    raise ValueError(
                        f"Layer {layer.name} must not add a shortcut and be concatenated with "
                        "half_octave multipliers: its step is that of the shortcut times a power "
                        "of two; train with multipliers = integer"
                    )
        made[name] = build_activation_quantizer(
            method.activations,
            name,
            parts.shapes[name],
            grids[name],
            signed=not all(layer.relu for layer in layers),
            shared=len(layers) > 1,
            seed=tensor_seed(name, seed) ^ (1 << 23),  # the layer of that name has another
        )
    return made


def _require_power_of_two(part: PoolPart) -> None:
    size = part.window.kernel[0] * part.window.kernel[1]
    if part.kind is PoolKind.AVERAGE and size & (size - 1):
        raise ValueError(
            f"Layer {part.name} must average a power of two of pixels with half_octave multipliers,"
            f" not {size}: pool another window, or train with multipliers = integer"
        )


def _grids(parts: Draft, bits: dict[str, int]) -> dict[str, int]:
    """Return the bits of every tensor's grid: those of its coarsest reader.

    A shortcut reads stream codes whatever the grid is; a tensor that only shortcuts read has the
    finest one, of 8 bits.
    """
    grids: dict[str, int] = {}
    for name, part in parts.layers.items():
        reads = [(part.input, bits[name])]
        if part.shortcut is not None:
            reads.append((part.shortcut.tensor, ACTIVATION.bits))
        for tensor, width in reads:
            origin = parts.origin(tensor)
            grids[origin] = min(width, grids.get(origin, ACTIVATION.bits))
    return grids


def _convolution(
    part: LayerPart,
    choice: LayerChoice,
    quantizer: ActivationQuantizer | None,
    half_octaves: bool,
    seed: int,
) -> QuantizedConvolution:
    return QuantizedConvolution(
        output=part.name,
        bits=choice.act_bits,
        weight_quantizer=build_weight_quantizer(
            codebook(choice.weights),
            part.weight.shape[0],
            choice.scale,
            choice.estimator,
            clip=choice.clip,
            companding=choice.companding,
            seed=tensor_seed(part.name, seed),
        ),
        output_quantizer=quantizer,
        half_octaves=half_octaves,
        **{**vars(part), "norm": copy.deepcopy(part.norm)},
    )
