# SPDX-License-Identifier: Apache-2.0
"""What the quantisers of a model do on some images, for the history of a run."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from tritone.qat.activations import ActivationQuantizer
from tritone.qat.adaptation import AdaptedStream
from tritone.qat.adapters import (
    AdaptiveQuantizer,
    clear_counts,
    constant_adapters,
    dead_adapters,
)
from tritone.qat.history import CodeUse, Observation
from tritone.qat.modules import QuantizedConvolution, QuantizedModel
from tritone.qat.quantizers import WeightQuantizer
from tritone.qat.sample import sample

__all__ = ["observe"]

OBSERVED_IMAGES = 256

# Of beta over the images: lowest, quartiles, highest.
_QUANTILES = (0.0, 0.25, 0.5, 0.75, 1.0)


class _Watch:
    """Hooks on a quantiser that note what passes in one run of the model.

    Parameters
    ----------
    names : of the tensors that it makes, in the order of execution.
    """

    def __init__(self, names: Sequence[str], quantizer: ActivationQuantizer) -> None:
        self.name = names[0]
        self.clipped: dict[str, float] = {}
        self.betas: Tensor | None = None
        self._turns = iter(names)
        self._handles = [quantizer.register_forward_pre_hook(self._enter)]
        if isinstance(quantizer, AdaptiveQuantizer):
            self._handles.append(quantizer.register_forward_hook(self._leave))

    def _enter(self, quantizer: ActivationQuantizer, given: tuple[Tensor]) -> None:
        # One code of the consumer's grid is worth 2**r stream codes.
        top = quantizer.step * (quantizer.grid.high << quantizer.read_shift)
        low = quantizer.step * (quantizer.grid.low << quantizer.read_shift)
        x = given[0] - quantizer.offset
        below = (x < low) if quantizer.zero else torch.zeros_like(x, dtype=torch.bool)
        self.clipped[next(self._turns)] = float(((x > top) | below).float().mean())

    def _leave(self, quantizer: AdaptiveQuantizer, _: object, stream: AdaptedStream) -> None:
        self.betas = stream.beta.detach().flatten().cpu()

    def remove(self) -> None:
        """Take the hooks away."""
        for handle in self._handles:
            handle.remove()


@torch.no_grad()
def observe(model: QuantizedModel, images: Tensor) -> Observation:
    """Return what the quantisers do on OBSERVED_IMAGES of ``images``, in evaluation.

    A value is clipped where it lies beyond the levels of the consumer's grid; with an adaptive
    step, beyond those of beta = 1.
    """
    training = model.training
    model.eval()
    clear_counts(model)
    names: dict[ActivationQuantizer, list[str]] = {}
    for node in model.nodes:
        if isinstance(node, QuantizedConvolution) and node.output_quantizer is not None:
            names.setdefault(node.output_quantizer, []).append(node.output)
    watches = [_Watch(outputs, quantizer) for quantizer, outputs in names.items()]
    weights: dict[str, CodeUse] = {}
    layers = [node for node in model.nodes if isinstance(node, QuantizedConvolution)]
    handles = [
        node.weight_quantizer.register_forward_pre_hook(partial(_count_codes, weights, node.name))
        for node in layers
    ]
    try:
        model(sample(images, OBSERVED_IMAGES))
    finally:
        for handle in handles:
            handle.remove()
        for watch in watches:
            watch.remove()
        model.train(training)
    return Observation(
        clipped={name: part for watch in watches for name, part in watch.clipped.items()},
        betas={
            watch.name: torch.quantile(watch.betas, torch.tensor(_QUANTILES)).tolist()
            for watch in watches
            if watch.betas is not None
        },
        dead=dead_adapters(model),
        constant=constant_adapters(model),
        weights=weights,
    )


def _count_codes(
    found: dict[str, CodeUse],
    layer: str,
    quantizer: WeightQuantizer,
    given: tuple[Tensor, Tensor | None],
) -> None:
    """Note what a layer's weights are rounded to; a hook in front of its quantiser."""
    codes = quantizer.codes(*given).flatten()
    times = torch.bincount(codes, minlength=1 << quantizer.book.bits).tolist()
    found[layer] = CodeUse(codebook=quantizer.book.name, times=times)
