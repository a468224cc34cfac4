# SPDX-License-Identifier: Apache-2.0
"""Quantisers of tensors: from real numbers to stream codes.

All of them round to unsigned stream codes of w bits, 8 or 12, ``u = clamp(floor((x - l)/s + 1/2) +
z, 0, 2**w - 1)``. They differ in what is learnt, and in what a gradient does to it. A consumer's
grid has the step ``S = 2**r * s``, r = w - bits.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from tritone.qat.estimators import (
    SCALE_FLOOR,
    Estimator,
    StraightThrough,
    scale_gradient,
    straight_through,
)
from tritone.qat.parallel import gather
from tritone.qat.reading import Grid, StepRule
from tritone.qat.streams import FreshStream, Stream
from tritone.spec.fixed import ACTIVATION, STREAM, StreamFormat, half

__all__ = ["ActivationQuantizer", "EwgsQuantizer", "PactQuantizer", "nearest_octave"]

# PACT's alpha before training (Choi et al., arXiv 1805.06085, section 3.1).
PACT_START = 10.0

# EWGS's upper bound is this many standard deviations of the half of a normal distribution above 0.
EWGS_DEVIATIONS = 3.0


def nearest_octave(step: float, reference: float) -> float:
    """Return ``reference`` times the power of two that is nearest to ``step``, in octaves."""
    return math.ldexp(reference, math.floor(math.log2(step / reference) + 0.5))


class ActivationQuantizer(nn.Module):
    """LSQ (Esser et al., ICLR 2020): the step is learnt from all elements.

    What is learnt is the step of the grid that the consumer sees, S, so that the learning rates of
    LSQ hold; its gradient is scaled by LSQ's 1/sqrt(N * Qp) on that grid. It starts at
    ``2 * mean|x| / sqrt(Qp)`` of the first training batch.

    Parameters
    ----------
    bits : width of the consumer, 1..8.
    signed : the tensor can be negative (no ReLU); z is the middle of the codes then and 0
        otherwise, and what is negative counts as 0.
    estimator : of the rounding on the consumer's grid.
    form : of the codes.
    """

    initialized: Tensor
    rule = StepRule.LSQ

    def __init__(
        self,
        bits: int,
        signed: bool = False,
        estimator: Estimator | None = None,
        form: StreamFormat = STREAM,
    ) -> None:
        super().__init__()
        if not 1 + signed <= bits <= ACTIVATION.bits:
            raise ValueError(
                f"Activation bits must be in {1 + signed}..{ACTIVATION.bits} "
                f"for a {'signed' if signed else 'non-negative'} tensor, not {bits!r}"
            )
        self.bits = bits
        self.zero = half(form.bits) if signed else 0
        self.grid = Grid(bits=bits, zero=self.zero, form=form)
        self.estimator = estimator or StraightThrough()
        # The part of a batch's images that this process has.
        self.part = 1.0
        self._add_parameters()
        self.register_buffer("initialized", torch.zeros((), dtype=torch.bool))

    def _add_parameters(self) -> None:
        self.grid_step = nn.Parameter(torch.ones(()))

    @property
    def read_shift(self) -> int:
        """r of the consumer."""
        return self.grid.shift

    @property
    def top(self) -> int:
        """Qp: the largest activation above zero on the consumer's grid."""
        return self.grid.high

    @property
    def step(self) -> float:
        """s, the real size of one stream code."""
        with torch.no_grad():
            return float(self._step(1)) / (1 << self.read_shift)

    @property
    def offset(self) -> float:
        """l, what code z means beside 0."""
        return 0.0

    def _step(self, count: int) -> Tensor:
        """Return S with the gradient's scale for ``count`` values of this process."""
        return scale_gradient(self.grid_step, (count / self.part * self.top) ** -0.5)

    def _hold(self) -> None:
        """Keep the parameters where they have a gradient."""
        self.grid_step.clamp_(min=SCALE_FLOOR)

    @torch.no_grad()
    def initialize(self, x: Tensor) -> None:
        """Set the parameters from a batch."""
        x = gather(x)
        self._start(x if self.zero else x.clamp(min=0))
        self.initialized.fill_(True)

    def _start(self, x: Tensor) -> None:
        self.grid_step.copy_((2 * x.abs().mean() / self.top**0.5).clamp_min(SCALE_FLOOR))

    def prepare(self, x: Tensor) -> None:
        """Set the parameters from a first training batch; keep them in range.

        Raises
        ------
        ValueError : no training batch has set the step yet.
        """
        if not self.initialized:
            if not self.training:
                raise ValueError(
                    "Activation quantizer must see a training batch first, not be evaluated"
                )
            self.initialize(x)
        with torch.no_grad():
            self._hold()

    def forward(self, x: Tensor, reference: Tensor | None = None) -> Stream:
        """Return ``x`` as a stream.

        With a ``reference`` the step of the codes is the nearest one that is a power of two times
        it; the gradient passes to the step that is learnt.
        """
        self.prepare(x)
        step = self._step(x.numel())
        if reference is not None:
            near = nearest_octave(self.step, float(reference.detach())) * (1 << self.read_shift)
            step = straight_through(torch.full_like(step, near), step)
        return FreshStream(x, step, self.grid, self.rule, self.estimator)


class PactQuantizer(ActivationQuantizer):
    """PACT (Choi et al., arXiv 1805.06085): a clip alpha, moved by what it clips alone.

    ``S = alpha / Qp``; the gradient of alpha is the sum of G over the values above it, and on a
    signed tensor that of the other side too. Nothing scales it; recipes decay alpha.
    """

    rule = StepRule.PACT

    def _add_parameters(self) -> None:
        self.alpha = nn.Parameter(torch.tensor(PACT_START))

    def _step(self, count: int) -> Tensor:
        return self.alpha / self.top

    def _hold(self) -> None:
        self.alpha.clamp_(min=SCALE_FLOOR)

    def _start(self, x: Tensor) -> None:
        """Leave alpha at its start, unless nothing reaches it and all would round to 0."""
        self.alpha.copy_(x.abs().max().clamp(SCALE_FLOOR, PACT_START))


class EwgsQuantizer(ActivationQuantizer):
    """The bounds of EWGS (Lee et al., arXiv 2104.00903): clipped values do not move them.

    ``x_n = clamp((x - lower)/(upper - lower), 0, 1)`` is rounded to 2**bits - 1 steps. The paper
    does not multiply the bounds back, its output scale does; here the value is multiplied by a
    constant S, and the weights' scale learns what the output scale learnt.

    Parameters
    ----------
    learn_lower : the lower bound is learnt; else it is 0, the place of ReLU. A consumer takes
        ``x - lower`` for x, as in the paper: the shift is a constant for each channel of its
        result, which the batch norm behind takes out, and the producer's D holds it.
    """

    rule = StepRule.EWGS

    def __init__(
        self,
        bits: int,
        signed: bool = False,
        estimator: Estimator | None = None,
        learn_lower: bool = False,
    ) -> None:
        if learn_lower and signed:
            raise ValueError(
                "Lower bound must be learnt behind a ReLU only, not of a signed tensor"
            )
        self.learn_lower = learn_lower
        super().__init__(bits, signed, estimator)

    def _add_parameters(self) -> None:
        self.upper = nn.Parameter(torch.ones(()))
        if self.learn_lower:
            self.lower = nn.Parameter(torch.zeros(()))

    @property
    def offset(self) -> float:
        """l, the lower bound."""
        return float(self.lower.detach()) if self.learn_lower else 0.0

    def _step(self, count: int) -> Tensor:
        span = self.upper - self.lower if self.learn_lower else self.upper
        return span / self.top

    def _hold(self) -> None:
        self.upper.clamp_(min=self.offset + SCALE_FLOOR * self.top)

    def _start(self, x: Tensor) -> None:
        # Of the half of a normal distribution the variance is 1 - 2/pi of the whole one's.
        whole = 1.0 if self.zero else math.sqrt(1 - 2 / math.pi)
        self.upper.copy_((EWGS_DEVIATIONS * x.std() / whole).clamp_min(SCALE_FLOOR * self.top))
        if self.learn_lower:
            self.lower.copy_(x.min())

    def forward(self, x: Tensor, reference: Tensor | None = None) -> Stream:
        """Return ``x`` less the lower bound as a stream."""
        if not self.learn_lower:
            return super().forward(x, reference)
        self.prepare(x)
        return super().forward(functional.relu(x) - self.lower, reference)
