# SPDX-License-Identifier: Apache-2.0
"""Quantisers of tensors: from real numbers to stream codes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tritone.qat.estimators import SCALE_FLOOR, round_half_up, scale_gradient, straight_through
from tritone.qat.streams import Stream
from tritone.spec.fixed import STREAM, half

__all__ = ["ActivationQuantizer"]


class ActivationQuantizer(nn.Module):
    """Rounds a tensor to unsigned 8-bit stream codes: ``u = clamp(floor(x/s + 1/2) + z, 0, 255)``.

    What is learnt is the step of the grid that the consumer sees, ``grid_step = 2**r * s`` with
    r = 8 - bits, so that the learning rates of LSQ hold; its gradient is scaled by LSQ's
    1/sqrt(N * Qp) on that grid. It starts at ``2 * mean|x| / sqrt(Qp)`` of the first training
    batch.

    Parameters
    ----------
    bits : width of the consumer, 1..8.
    signed : the tensor can be negative (no ReLU); z is 128 then and 0 otherwise.
    """

    initialized: Tensor

    def __init__(self, bits: int, signed: bool = False) -> None:
        super().__init__()
        if not 1 + signed <= bits <= STREAM.bits:
            raise ValueError(
                f"Activation bits must be in {1 + signed}..{STREAM.bits} "
                f"for a {'signed' if signed else 'non-negative'} tensor, not {bits!r}"
            )
        self.bits = bits
        self.zero = half(STREAM.bits) if signed else 0
        self.grid_step = nn.Parameter(torch.ones(()))
        self.register_buffer("initialized", torch.zeros((), dtype=torch.bool))

    @property
    def read_shift(self) -> int:
        """r of the consumer."""
        return STREAM.bits - self.bits

    @property
    def top(self) -> int:
        """Qp: the largest activation above zero on the consumer's grid."""
        return ((1 << self.bits) - 1) - (self.zero >> self.read_shift)

    @property
    def step(self) -> float:
        """s, the real size of one stream code."""
        return float(self.grid_step.detach()) / (1 << self.read_shift)

    @torch.no_grad()
    def initialize(self, x: Tensor) -> None:
        """Set the step from a batch."""
        self.grid_step.copy_((2 * x.abs().mean() / self.top**0.5).clamp_min(SCALE_FLOOR))
        self.initialized.fill_(True)

    def forward(self, x: Tensor) -> Stream:
        """Return ``x`` as a stream.

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
            self.grid_step.clamp_(min=SCALE_FLOOR)
        grid_step = scale_gradient(self.grid_step, (x.numel() * self.top) ** -0.5)
        step = grid_step / (1 << self.read_shift)
        low, high = STREAM.low - self.zero, STREAM.high - self.zero
        v = x / step
        codes = straight_through(round_half_up(v).clamp(low, high), v.clamp(low, high)) + self.zero
        return Stream(codes, step, self.zero)
