# SPDX-License-Identifier: Apache-2.0
"""Where a training stopped being finite: on the way forward, or on the way back."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from tritone.qat.checkpoint import Stage
from tritone.qat.exact import ExactModel
from tritone.qat.modules import QuantizedModel

__all__ = ["culprit", "diverged", "gradient_culprit", "largest_gradient"]


def diverged(what: str, value: float, stage: Stage, epoch: int, layer: str | None) -> ValueError:
    """Return the error of a loss or gradient that is not finite; epochs are counted from 0.

    ``layer`` is where it went wrong, None where only the loss is.
    """
    place = "the loss" if layer is None else f"layer {layer}"
    return ValueError(
        f"{what} must be finite, not {value}, in epoch {epoch + 1} of {stage.value}: it went wrong "
        f"in {place}; a lower learning rate may help"
    )


def _finite(value: Any) -> bool:
    if isinstance(value, Tensor):
        return not value.is_floating_point() or bool(torch.isfinite(value).all())
    codes = getattr(value, "codes", None)
    return codes is None or _finite(codes)


def _layers(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """Return the layers by name; those of a quantised model in the order of execution."""
    if isinstance(model, ExactModel):
        return _layers(model.model)
    if isinstance(model, QuantizedModel):
        return [(node.name, node) for node in model.nodes]
    return [
        (path, module)
        for path, module in model.named_modules()
        if not any(True for _ in module.children())
    ]


@torch.no_grad()
def _run(
    model: nn.Module,
    forward: Callable[[Tensor], object],
    images: Tensor,
    look: Callable[[str, nn.Module, object], None],
) -> None:
    """Run ``model`` and call ``look`` with name, layer and output, layer by layer."""
    if isinstance(model, ExactModel):
        # It computes with the constants of its layers, without calling them, and what it computes
        # of finite ones are integers in bounds.
        for name, layer in _layers(model):
            look(name, layer, None)
        return
    hooks = [
        layer.register_forward_hook(lambda module, _, output, name=name: look(name, module, output))
        for name, layer in _layers(model)
    ]
    try:
        forward(images)
    finally:
        for hook in hooks:
            hook.remove()


def culprit(model: nn.Module, forward: Callable[[Tensor], object], images: Tensor) -> str | None:
    """Return the name of the first layer, in the order of execution, that is not finite.

    That is one with a parameter, or with an output of ``images``, that is infinite or not a number;
    None where only the loss itself is. The statistics of batch norm change.

    Parameters
    ----------
    forward : runs ``model`` on images.
    """
    found: list[str] = []

    def look(name: str, layer: nn.Module, output: object) -> None:
        if not all(_finite(each) for each in (output, *layer.parameters())):
            found.append(name)

    try:
        _run(model, forward, images, look)
    except (OverflowError, ValueError):
        # A layer may refuse what it is given; the one before it is known all the same.
        if not found:
            raise
    return found[0] if found else None


def largest_gradient(model: nn.Module) -> float:
    """Return the largest magnitude in the gradients of ``model``, not finite if one of them is.

    One number of all gradients, so that it can be had at every step.
    """
    gradients = [each.grad for each in model.parameters() if each.grad is not None]
    return float(nn.utils.get_total_norm(gradients, math.inf))


def gradient_culprit(
    model: nn.Module, forward: Callable[[Tensor], object], images: Tensor
) -> str | None:
    """Return the name of the last layer, in the order of execution, with a gradient not finite.

    Gradients go from the last layer to the first, so it went wrong there, or in what reads that
    layer and has finite gradients of its own; None where all are finite. The statistics of batch
    norm change.

    Parameters
    ----------
    forward : runs ``model`` on images.
    """
    found: list[str] = []

    def look(name: str, layer: nn.Module, _: object) -> None:
        if not all(each.grad is None or _finite(each.grad) for each in layer.parameters()):
            found.append(name)

    _run(model, forward, images, look)
    return found[-1] if found else None
