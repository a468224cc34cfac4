# SPDX-License-Identifier: Apache-2.0
"""Traced operators, whichever way they are written: modules, functions, methods, shapes."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import fx, nn
from torch.nn import functional

from tritone.qat.parts import Shape

__all__ = ["ADDITIONS", "JOINS", "VIEWS", "Extents", "as_module", "joined_nodes"]

# All forms of x + y, of channels one behind the other, and of x.view; fx gives methods as strings.
ADDITIONS = (operator.add, operator.iadd, torch.add, "add", "add_")
JOINS = (torch.cat, torch.concat, torch.concatenate)
VIEWS = (torch.reshape, "view", "reshape")

# What functions and methods are as modules: the class, its arguments in their order behind the
# tensor, and those that have other defaults than the class.
_Form = tuple[Callable[..., nn.Module], tuple[str, ...], dict[str, Any]]
_POOL = ("kernel_size", "stride", "padding")
_FLATTEN: _Form = (nn.Flatten, ("start_dim", "end_dim"), {"start_dim": 0})
_RELU: _Form = (nn.ReLU, ("inplace",), {})
_MODULES: dict[Any, _Form] = {
    functional.max_pool2d: (
        nn.MaxPool2d,
        (*_POOL, "dilation", "ceil_mode", "return_indices"),
        {},
    ),
    torch.max_pool2d: (nn.MaxPool2d, (*_POOL, "dilation", "ceil_mode"), {}),
    functional.avg_pool2d: (
        nn.AvgPool2d,
        (*_POOL, "ceil_mode", "count_include_pad", "divisor_override"),
        {},
    ),
    functional.adaptive_avg_pool2d: (nn.AdaptiveAvgPool2d, ("output_size",), {}),
    torch.flatten: _FLATTEN,
    "flatten": _FLATTEN,
    functional.relu: _RELU,
    functional.relu_: _RELU,
    torch.relu: _RELU,
    torch.relu_: _RELU,
    "relu": _RELU,
    "relu_": _RELU,
    # Training with quantised weights has noise enough: dropout is left out.
    functional.dropout: (nn.Dropout, ("p", "training", "inplace"), {}),
    functional.dropout2d: (nn.Dropout2d, ("p", "training", "inplace"), {}),
}


def as_module(node: fx.Node, modules: Mapping[str, nn.Module]) -> nn.Module | None:
    """Return the module that does what ``node`` does, None where there is none.

    Parameters
    ----------
    modules : of the traced one, by path.
    """
    if node.op == "call_module":
        return modules[str(node.target)]
    if node.target not in _MODULES:
        return None
    kind, names, defaults = _MODULES[node.target]
    given = dict(zip(names, node.args[1:], strict=False)) | dict(node.kwargs)
    given.pop("training", None)
    return kind(**(defaults | given))


def joined_nodes(node: fx.Node) -> tuple[list[Any], Any]:
    """Return what a concatenation takes, and along which dimension."""
    given = dict(zip(("tensors", "dim"), node.args, strict=False)) | dict(node.kwargs)
    tensors: Any = given["tensors"]
    return list(tensors), given.get("dim", given.get("axis", 0))


class Extents:
    """Sizes that a model asks for while it is traced; that of the batch is None."""

    def __init__(self) -> None:
        self._known: dict[fx.Node, tuple[int | None, ...] | int | None] = {}

    def take(self, node: fx.Node, shape: Callable[[fx.Node], Shape | None]) -> bool:
        """Note the value of ``node`` if it is one of sizes; return whether it is.

        Parameters
        ----------
        shape : of the image that an operator makes, None behind a flatten.
        """
        source = node.args[0] if node.args else None
        if not isinstance(source, fx.Node):
            return False
        index: Any = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim")
        if node.target == "size" or (node.target is getattr and index == "shape"):
            image = shape(source)
            sizes: tuple[int | None, ...] = (None, *image) if image else (None,)
            whole = node.target is getattr or index is None
            self._known[node] = sizes if whole else sizes[index]
            return True
        if node.target is operator.getitem and source in self._known:
            known = self._known[source]
            assert isinstance(known, tuple)
            self._known[node] = known[index]
            return True
        return False

    def flattens(self, node: fx.Node, shape: Shape) -> bool:
        """Return whether a view keeps the batch and makes one dimension of an image's three."""
        wanted: Any = node.args[1:] or tuple(node.kwargs.values())
        if len(wanted) == 1 and isinstance(wanted[0], tuple | list):
            (wanted,) = wanted
        sizes = [
            self._known.get(each, each) if isinstance(each, fx.Node) else each for each in wanted
        ]
        count = shape[0] * shape[1] * shape[2]
        return sizes in ([None, -1], [None, count], [-1, count])
