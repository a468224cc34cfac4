# SPDX-License-Identifier: Apache-2.0
"""ASQ (arXiv 2504.17263): activation steps that a small network adapts to each image.

    z = average of the tensor over its pixels                    (N, C)
    C >= 8:  beta = ReLU(w2 . ReLU(W1 z + b1) + b2),  W1 (C // 4) x C
    C < 8:   beta = ReLU(w . z + b)

The adapter is integer like every other layer: it averages stream codes, reads 8 bits, has int8
weights, and its result is rounded to U2.10 in 1/2..2, or 1/4..4 on 12-bit streams,
straight-through, as ``Bounded`` says. docs/numerics.md has the formats.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from tritone.graph import PoolKind, Window
from tritone.qat.activations import ActivationQuantizer
from tritone.qat.adaptation import AdaptedStream, CodeMean
from tritone.qat.arithmetic import exactly
from tritone.qat.estimators import Estimator, EstimatorKind, round_half_up
from tritone.qat.evaluate import BATCH
from tritone.qat.modules import QuantizedConvolution, QuantizedModel, QuantizedPool
from tritone.qat.quantizers import build_weight_quantizer
from tritone.qat.reading import Grid
from tritone.qat.sample import sample
from tritone.qat.scales import ScaleRule
from tritone.qat.streams import FreshStream, Stream
from tritone.spec.catalog import codebook
from tritone.spec.fixed import ACTIVATION, BETA, STREAM, StreamFormat

__all__ = [
    "Adapter",
    "AdaptiveQuantizer",
    "Bounded",
    "adapts",
    "clear_counts",
    "constant_adapters",
    "dead_adapters",
    "fix_steps",
]

REDUCTION = 4
WEIGHTS = "int8"
# Training images that beta's mean is taken over where it becomes a constant.
FIXING_IMAGES = 5000
# The last weights of a new adapter, normal with this deviation, and its bias: beta is about 1.
DEVIATION = 0.01


def _linear(
    name: str, input: str, weight: Tensor, bias: Tensor, quantizer: ActivationQuantizer | None
) -> QuantizedConvolution:
    return QuantizedConvolution(
        name=name,
        input=input,
        output=name,
        window=Window(kernel=(1, 1)),
        weight=weight[:, :, None, None],
        bias=bias,
        norm=None,
        relu=True,
        bits=ACTIVATION.bits,
        weight_quantizer=build_weight_quantizer(
            codebook(WEIGHTS), len(weight), ScaleRule.LARGEST, EstimatorKind.STE
        ),
        output_quantizer=quantizer,
    )


class Bounded(torch.autograd.Function):
    """What the last layer says, rounded to U2.10 within the bounds of beta.

    Gradients pass straight through, but for those that would push what lies at a bound, or beyond
    it, further away. beta does not follow any more there, so nothing would end the push: weights
    grow, and with them what the tensor gets through the adapter, until training diverges.
    """

    @staticmethod
    def forward(ctx: Any, raw: Tensor, form: StreamFormat) -> Tensor:
        """Return beta of a stream of format ``form``."""
        ctx.save_for_backward(raw)
        ctx.form = form
        code = round_half_up(raw * (1 << BETA.frac)).clamp_(form.beta_low, form.beta_high)
        return code.div_(1 << BETA.frac)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        """Return the gradient that passes; a step goes against it."""
        (raw,) = ctx.saved_tensors
        scaled = raw * (1 << BETA.frac)
        up = (scaled >= ctx.form.beta_high) & (gradient < 0)
        down = (scaled <= ctx.form.beta_low) & (gradient > 0)
        return gradient.masked_fill(up | down, 0), None


class Adapter(nn.Module):
    """beta of each image, from the codes of a tensor.

    Parameters
    ----------
    tensor : its name, the first part of the names of the nodes.
    shape : channels, height and width.
    form : of its codes and of those of the hidden layer.
    seed : of its first weights.
    """

    images: Tensor
    silent: Tensor
    idle: Tensor
    total: Tensor

    def __init__(
        self,
        tensor: str,
        shape: tuple[int, int, int],
        form: StreamFormat = STREAM,
        seed: int = 0,
    ) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.form = form
        channels, height, width = shape
        mean = f"{tensor}.mean"
        self.mean = QuantizedPool(
            name=mean,
            input=tensor,
            output=mean,
            kind=PoolKind.AVERAGE,
            window=Window(kernel=(height, width)),
        )
        self.hidden: QuantizedConvolution | None = None
        source = mean
        if channels >= 2 * REDUCTION:
            # As torch starts a linear layer.
            bound = channels**-0.5
            first = torch.empty(channels // REDUCTION, channels + 1)
            first.uniform_(-bound, bound, generator=generator)
            source = f"{tensor}.hidden"
            quantizer = ActivationQuantizer(ACTIVATION.bits, form=form)
            self.hidden = _linear(source, mean, first[:, :-1], first[:, -1], quantizer)
            channels //= REDUCTION
        weight = DEVIATION * torch.randn(1, channels, generator=generator)
        self.last = _linear(f"{tensor}.beta", source, weight, torch.ones(1), None)
        for name in ("images", "silent", "idle", "total"):
            self.register_buffer(name, torch.zeros((), dtype=torch.float64), persistent=False)

    @property
    def nodes(self) -> list[QuantizedConvolution | QuantizedPool]:
        """The nodes in the order of execution."""
        every = (self.mean, self.hidden, self.last)
        return [node for node in every if node is not None]

    def forward(self, x: Tensor, step: Tensor) -> Tensor:
        """Return beta, (N, 1, 1, 1), exact in U2.10.

        Parameters
        ----------
        x : real; the adapter sees its stream codes, and its gradient goes to x alone.
        step : s of the stream, without a gradient.
        """
        # What the adapter saves in another arithmetic is nothing, and its result has 11 bits.
        with exactly(x.device):
            return self._beta(x, step)

    def _beta(self, x: Tensor, step: Tensor) -> Tensor:
        total = CodeMean.apply(x, step, self.form)
        pixels = x.shape[2] * x.shape[3]
        mean = self.mean.round_mean(total, total.to(x.dtype) / pixels, 0, self.form)
        stream = Stream(mean, step, 0, self.form)
        if self.hidden is not None:
            stream = self.hidden(stream)
            with torch.no_grad():
                quiet = stream.values(ACTIVATION.bits) == 0
                self.idle += quiet.flatten(1).all(1).sum()
        raw = self.last(stream)
        beta: Tensor = Bounded.apply(raw, self.form)
        with torch.no_grad():
            self.images += len(raw)
            self.silent += (raw <= 0).sum()
            self.total += beta.sum()
        return beta

    def clear(self) -> None:
        """Forget the images that were counted."""
        for count in (self.images, self.silent, self.idle, self.total):
            count.zero_()


class AdaptiveQuantizer(ActivationQuantizer):
    """LSQ with a step that an adapter multiplies by beta of the image.

    The codes have headroom above the grid: a bit, so that beta can be 2, or two for 4. The gradient
    of S is scaled as in LSQ, that of beta is not; it passes the bounds of beta, but not the ReLU:
    an adapter whose result is 0 for all images is dead, see ``dead_adapters``.

    Parameters
    ----------
    tensor, shape : of what is quantised.
    bits : width of the consumers that read with beta, 1..7; 8 too of 12-bit codes.
    estimator : of their rounding.
    adapted : what they read is multiplied by S * beta, else by S.
    form : of the codes.
    seed : of the first weights of the adapter.
    """

    def __init__(
        self,
        tensor: str,
        shape: tuple[int, int, int],
        bits: int,
        estimator: Estimator | None = None,
        adapted: bool = True,
        form: StreamFormat = STREAM,
        seed: int = 0,
    ) -> None:
        most = min(form.bits - form.headroom, ACTIVATION.bits)
        if bits > most:
            raise ValueError(
                f"Activation bits must be in 1..{most} with an adaptive step, not {bits!r}"
            )
        super().__init__(bits, estimator=estimator, form=form)
        self.grid = Grid(bits=bits, zero=0, headroom=form.headroom, form=form)
        self.adapted = adapted
        self.adapter = Adapter(tensor, shape, form, seed)

    def forward(self, x: Tensor, reference: Tensor | None = None) -> Stream:
        """Return ``x`` as a stream with the beta of its images."""
        if reference is not None:
            raise ValueError(
                "Adaptive steps must be left out where steps are powers of two of others, not used "
                "with half octaves"
            )
        self.prepare(x)
        fresh = FreshStream(x, self._step(x.numel()), self.grid, self.rule, self.estimator)
        beta = self.adapter(x, fresh.step.detach())
        return AdaptedStream(fresh, beta, self.grid, self.estimator, self.adapted, x)


def _adaptive(model: QuantizedModel) -> Iterator[tuple[QuantizedConvolution, AdaptiveQuantizer]]:
    for node in model.nodes:
        if isinstance(node, QuantizedConvolution) and isinstance(
            node.output_quantizer, AdaptiveQuantizer
        ):
            yield node, node.output_quantizer


def dead_adapters(model: QuantizedModel) -> list[str]:
    """Return the tensors whose adapter was 0 for every image since the counts were cleared.

    beta is its smallest then for all of them, and nothing moves the adapter any more.
    """
    return [
        node.output
        for node, quantizer in _adaptive(model)
        if quantizer.adapter.images > 0 and quantizer.adapter.silent == quantizer.adapter.images
    ]


def constant_adapters(model: QuantizedModel) -> list[str]:
    """Return the tensors whose adapter, not dead, had a hidden layer of 0 for every image.

    beta is what its last bias says then.
    """
    dead = dead_adapters(model)
    return [
        node.output
        for node, quantizer in _adaptive(model)
        if quantizer.adapter.images > 0
        and quantizer.adapter.idle == quantizer.adapter.images
        and node.output not in dead
    ]


def clear_counts(model: QuantizedModel) -> None:
    """Start counting anew."""
    for _, quantizer in _adaptive(model):
        quantizer.adapter.clear()


def adapts(model: QuantizedModel) -> bool:
    """Return whether there are adaptive steps that ``fix_steps`` can replace."""
    found = [quantizer.adapted for _, quantizer in _adaptive(model)]
    return bool(found) and all(found)


@torch.no_grad()
def fix_steps(model: QuantizedModel, images: Tensor) -> dict[str, float]:
    """Replace every adaptive step by its mean over FIXING_IMAGES and return the mean betas.

    Parameters
    ----------
    model : trained; it is changed.
    images : raw bytes of the training set, of which so many are used.

    What is left is LSQ with the step ``S * beta``: the ablation that ASQ must be better than.

    Raises
    ------
    ValueError : a model that was trained to be multiplied by S alone.
    """
    found = list(_adaptive(model))
    if any(not quantizer.adapted for _, quantizer in found):
        raise ValueError("Steps must be fixed in a model that multiplies by S * beta, not by S")
    training = model.training
    model.eval()
    clear_counts(model)
    for part in sample(images, FIXING_IMAGES).split(BATCH):
        model(part)
    betas = {}
    for node, adaptive in found:
        beta = float(adaptive.adapter.total / adaptive.adapter.images)
        fixed = ActivationQuantizer(
            adaptive.bits, estimator=adaptive.estimator, form=adaptive.grid.form
        )
        fixed.grid_step.copy_(adaptive.grid_step * beta)
        fixed.initialized.fill_(True)
        node.output_quantizer = fixed
        betas[node.output] = beta
    model.train(training)
    return betas
