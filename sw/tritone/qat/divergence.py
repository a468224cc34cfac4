# SPDX-License-Identifier: Apache-2.0
"""Where a training stopped being finite."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from tritone.qat.modules import QuantizedModel

__all__ = ["culprit"]


def _finite(value: Any) -> bool:
    if isinstance(value, Tensor):
        return not value.is_floating_point() or bool(torch.isfinite(value).all())
    codes = getattr(value, "codes", None)
    return codes is None or _finite(codes)


@torch.no_grad()
def culprit(model: nn.Module, forward: Callable[[Tensor], object], images: Tensor) -> str | None:
    """Return the name of the first layer, in the order of execution, that is not finite.

    That is one with a parameter, or with an output of ``images``, that is infinite or not a number;
    None where only the loss itself is. The statistics of batch norm change.

    Parameters
    ----------
    forward : runs ``model`` on images.
    """
    found: list[str] = []
    hooks = []

    def watch(name: str, module: nn.Module) -> None:
        def look(_: nn.Module, __: object, output: object) -> None:
            parameters = all(_finite(each) for each in module.parameters())
            if not found and not (parameters and _finite(output)):
                found.append(name)

        hooks.append(module.register_forward_hook(look))

    if isinstance(model, QuantizedModel):
        for node in model.nodes:
            watch(node.name, node)
    else:
        for path, module in model.named_modules():
            if not any(True for _ in module.children()):
                watch(path, module)
    try:
        forward(images)
    except ValueError as error:
        # A quantiser may refuse what it is given; the layer behind it is known all the same.
        if not found:
            raise error
    finally:
        for hook in hooks:
            hook.remove()
    return found[0] if found else None
