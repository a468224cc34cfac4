# SPDX-License-Identifier: Apache-2.0
"""EWGS's delta from the Hessian of the loss (Lee et al., arXiv 2104.00903, section 3.3).

For every discretised tensor x_q of N elements, with g the gradient and H the Hessian of the loss
with respect to it, ``delta = max(0, mean over batches of (trace(H) / N) / (3 std(g)))``. The trace
is Hutchinson's estimate, the mean of v' H v over vectors v of +1 and -1. x_q is normalised to 0..1;
for levels q of another range, ``span`` wide, trace and gradient are scaled: x_q = q / span.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from tritone.qat.estimators import ElementwiseScaling

__all__ = ["Sensitivity", "estimate_trace", "update_deltas"]

# The estimate of a trace ends where its running mean changes by less than this part.
_TOLERANCE = 1e-3

# Keep the quotients of flat losses finite.
_TRACE_FLOOR = 1e-6
_DEVIATION_FLOOR = 1e-12

# What counts as a large gradient, in standard deviations.
_LARGE = 3.0


class Sensitivity(NamedTuple):
    """Trace of the Hessian and representative gradient of one tensor, normalised to 0..1."""

    trace: float
    deviation: float
    elements: int

    @property
    def delta(self) -> float:
        """What the tensor alone would give; negative where the trace is."""
        return self.trace / self.elements / (_LARGE * self.deviation + _DEVIATION_FLOOR)


def estimate_trace(
    product: Callable[[Tensor], Tensor], like: Tensor, probes: int, generator: torch.Generator
) -> float:
    """Return Hutchinson's estimate of the trace of a symmetric matrix.

    Parameters
    ----------
    product : the matrix times a vector of the shape of ``like``.
    probes : vectors, at most; fewer where the running mean settles.
    """
    total = mean = 0.0
    for count in range(1, probes + 1):
        bits = torch.randint(0, 2, like.shape, generator=generator).to(like)
        vector = 2 * bits - 1
        total += float((vector * product(vector)).sum(dtype=torch.float64))
        before, mean = mean, total / count
        if count > 1 and abs(mean - before) / (abs(before) + _TRACE_FLOOR) < _TOLERANCE:
            break
    return mean


def update_deltas(
    model: nn.Module,
    batches: Iterable[Callable[[], Tensor]],
    probes: int,
    generator: torch.Generator,
) -> dict[str, float]:
    """Set delta of every ElementwiseScaling in ``model`` and return them by module name.

    Parameters
    ----------
    model : in training mode; buffers that the forward changes, such as batch norm's statistics and
        the state of noise, are put back.
    batches : each calculates the loss of one batch through ``model``.
    probes, generator : of the traces.
    """
    found = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, ElementwiseScaling)
    }
    sums = dict.fromkeys(found, 0.0)
    count = 0
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    for loss in batches:
        for name, each in _sensitivities(found, loss, probes, generator).items():
            sums[name] += each.delta
        count += 1
    with torch.no_grad():
        for buffer, value in buffers:
            buffer.copy_(value)
    deltas = {name: max(total / max(count, 1), 0.0) for name, total in sums.items()}
    for name, module in found.items():
        module.delta.fill_(deltas[name])
    return deltas


def _sensitivities(
    modules: dict[str, ElementwiseScaling],
    loss: Callable[[], Tensor],
    probes: int,
    generator: torch.Generator,
) -> dict[str, Sensitivity]:
    """Return what one batch says about each tensor."""
    for module in modules.values():
        module.recorded = []
    try:
        value = loss()
        recorded = {name: module.recorded or [] for name, module in modules.items()}
    finally:
        for module in modules.values():
            module.recorded = None
    tensors = {name: levels[-1] for name, levels in recorded.items() if levels}
    if not tensors:
        return {}
    gradients = torch.autograd.grad(
        value, [levels for levels, _ in tensors.values()], create_graph=True
    )
    found = {}
    for (name, (levels, span)), gradient in zip(tensors.items(), gradients, strict=True):

        def product(vector: Tensor, gradient: Tensor = gradient, of: Tensor = levels) -> Tensor:
            if not gradient.requires_grad:  # the loss is linear in the tensor
                return torch.zeros_like(of)
            (result,) = torch.autograd.grad(
                gradient, of, vector, retain_graph=True, allow_unused=True
            )
            return torch.zeros_like(of) if result is None else result

        trace = estimate_trace(product, levels, probes, generator)
        deviation = float(gradient.detach().double().std())
        found[name] = Sensitivity(trace * span**2, deviation * span, levels.numel())
    return found
