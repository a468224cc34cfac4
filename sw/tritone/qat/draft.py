# SPDX-License-Identifier: Apache-2.0
"""What a traced module computes, as layers, pools and concatenations, before any quantisation."""

from __future__ import annotations

import operator
from dataclasses import replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from tritone.graph import PoolKind, Window
from tritone.qat.modules import INPUT, Residual
from tritone.qat.operators import ADDITIONS, JOINS, VIEWS, Extents, as_module, joined_nodes
from tritone.qat.parts import (
    JoinPart,
    LayerPart,
    Part,
    PoolPart,
    Shape,
    Value,
    argument,
    makers,
    norm_of_pixels,
    reads,
    require_default,
    shared_origins,
    slice_stride,
    window_of,
)
from tritone.qat.tracing import forward_place, named, trace

__all__ = ["Draft", "draft"]

OPERATORS = (
    "Conv2d, BatchNorm2d, ReLU, MaxPool2d, AvgPool2d, AdaptiveAvgPool2d, Flatten, Linear, "
    "BatchNorm1d, Dropout, Identity, view, mean, cat, add, or slice and pad of a shortcut"
)


def draft(model: nn.Module, shape: Shape) -> Draft:
    """Return what ``model`` computes of an image of that shape.

    Raises
    ------
    ValueError : an operator, or an order of operators, that the machine does not have; it is named.
        It cannot be traced.
    """
    found = Draft(model, shape)
    for node in trace(model).nodes:
        found.take(node)
    found.check()
    return found


class Draft:
    """Collects layers and pools in the order of the trace.

    Parameters
    ----------
    model, shape : as for ``draft``.
    """

    def __init__(self, model: nn.Module, shape: Shape) -> None:
        self.modules = dict(model.named_modules(remove_duplicate=False))
        self.place = forward_place(model)
        self.used: set[int] = set()
        self.shapes: dict[str, Shape] = {INPUT: shape}
        self.parts: dict[str, Part] = {}  # by output tensor
        self.layers: dict[str, LayerPart] = {}  # those of the parts
        self.values: dict[fx.Node, Value] = {}
        self.depths: dict[str, int] = {INPUT: 0}  # layers and pools between the image and a tensor
        self.extents = Extents()
        self.logits = ""

    def take(self, node: fx.Node) -> None:
        """Add one traced operator."""
        match node.op:
            case "placeholder":
                if self.values:
                    raise ValueError(
                        f"Model{self.place} must have one input, not also {node.target}"
                    )
                self.values[node] = Value(tensor=INPUT)
            case "output":
                result = node.args[0]
                if not isinstance(result, fx.Node):
                    raise TypeError(f"Model{self.place} must return one tensor, not {result!r}")
                self.logits = self.values[result].tensor if self.values[result].whole else ""
            case _:
                self._operator(node)

    def _operator(self, node: fx.Node) -> None:
        if self.extents.take(node, self._image):
            return
        module, name = as_module(node, self.modules), named(node)
        if module is not None and any(True for _ in module.parameters()):
            if id(module) in self.used:
                raise ValueError(f"Layer {name} must be used once: its weights cannot be shared")
            self.used.add(id(module))
        if isinstance(module, nn.Flatten):
            self._flatten(node, module)
        elif isinstance(module, nn.Identity | nn.Dropout | nn.Dropout2d):
            self.values[node] = self.values[argument(node)]
        elif node.target in ADDITIONS:
            self._shortcut(node)
        elif node.target in JOINS:
            self._join(node)
        elif node.target in VIEWS:
            self._view(node)
        elif node.target is operator.getitem:
            self._every(node)
        elif node.target is functional.pad:
            self._pad(node)
        elif isinstance(module, nn.Conv2d):
            source = self._source(node, flat=False)
            require_default(module, name, dilation=1, padding_mode="zeros")
            window = window_of(module, name)
            self._layer(node, source, window, module.weight, module.bias, module.groups)
        elif isinstance(module, nn.Linear):
            source = self._source(node, flat=True)
            channels, height, width = self.shapes[source]
            if module.in_features != channels * height * width:
                raise ValueError(
                    f"Layer {name} must take {channels * height * width} inputs, "
                    f"not {module.in_features}"
                )
            weight = module.weight.view(-1, channels, height, width)
            self._layer(node, source, Window(kernel=(height, width)), weight, module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            layer = self._absorbing(node, "BatchNorm2d")
            later = layer.norm is not None or layer.shortcut is not None or layer.relu
            if later or self.values[argument(node)].flat:
                raise ValueError(f"BatchNorm2d {name} must directly follow a convolution")
            require_default(module, name, affine=True, track_running_stats=True)
            layer.norm = module
        elif isinstance(module, nn.BatchNorm1d):
            layer = self._absorbing(node, "BatchNorm1d")
            if layer.norm is not None or layer.relu or not self.values[argument(node)].flat:
                raise ValueError(f"BatchNorm1d {name} must directly follow a linear layer")
            require_default(module, name, affine=True, track_running_stats=True)
            layer.norm = norm_of_pixels(module)
        elif isinstance(module, nn.ReLU):
            layer = self._absorbing(node, "ReLU")
            if layer.relu:
                raise ValueError(f"ReLU {name} must not follow another ReLU")
            layer.relu = True
        elif isinstance(module, nn.MaxPool2d):
            require_default(module, name, dilation=1, ceil_mode=False, return_indices=False)
            self._pool(node, PoolKind.MAX, window_of(module, name))
        elif isinstance(module, nn.AvgPool2d):
            require_default(module, name, ceil_mode=False, divisor_override=None)
            window = window_of(module, name)
            if any(window.pad):
                require_default(module, name, count_include_pad=True)
            self._pool(node, PoolKind.AVERAGE, window)
        elif isinstance(module, nn.AdaptiveAvgPool2d):
            require_default(module, name, output_size=1)
            _, height, width = self.shapes[self._source(node, flat=False)]
            self._pool(node, PoolKind.AVERAGE, Window(kernel=(height, width)))
        elif node.target in (torch.mean, "mean"):
            self._mean(node)
        else:
            kind = type(module).__name__ if module is not None else str(node.target)
            raise ValueError(
                f"Operator {name} must be one of {OPERATORS}, not {kind}: "
                "write the model with those"
            )

    def _source(self, node: fx.Node, flat: bool) -> str:
        """Return the tensor that ``node`` reads."""
        value = self.values[argument(node)]
        if value.flat != flat:
            kind = "a flattened tensor" if flat else "an image, not a flattened tensor"
            raise ValueError(f"Layer {named(node)} must read {kind}")
        if not value.whole:
            raise ValueError(
                f"Layer {named(node)} must read a whole tensor, not a slice of {value.tensor}: "
                "only an add takes slices and padded channels"
            )
        return value.tensor

    def _image(self, node: fx.Node) -> Shape | None:
        """Return the shape of what ``node`` makes, None behind a flatten."""
        return None if self.values[node].flat else self._shape(self.values[node])

    def _flatten(self, node: fx.Node, module: nn.Flatten) -> None:
        if (module.start_dim, module.end_dim) not in ((1, -1), (1, 3)):
            raise ValueError(f"Flatten {named(node)} must flatten dimensions 1 to -1")
        self.values[node] = replace(self.values[argument(node)], flat=True)

    def _view(self, node: fx.Node) -> None:
        """Take ``x.view(x.size(0), -1)`` and its like, a flatten."""
        value = self.values[argument(node)]
        if value.flat or not self.extents.flattens(node, self._shape(value)):
            raise ValueError(
                f"View {named(node)} must flatten an image, as x.flatten(1) does, and nothing else"
            )
        self.values[node] = replace(value, flat=True)

    def _mean(self, node: fx.Node) -> None:
        """Take ``x.mean((2, 3))``, an average over all pixels."""
        source = self._source(node, flat=False)
        given = dict(zip(("dim", "keepdim"), node.args[1:], strict=False)) | dict(node.kwargs)
        dim: Any = given.get("dim")
        if not isinstance(dim, tuple | list) or sorted(each % 4 for each in dim) != [2, 3]:
            raise ValueError(
                f"Mean {named(node)} must be over the pixels, x.mean((2, 3)), not over {dim!r}"
            )
        self._pool(node, PoolKind.AVERAGE, Window(kernel=self.shapes[source][1:]))
        self.values[node].flat = not given.get("keepdim", False)

    def _join(self, node: fx.Node) -> None:
        """Take ``torch.cat((x, y), 1)`` of images."""
        nodes, dim = joined_nodes(node)
        values = [self.values[each] for each in nodes if each in self.values]
        names = [value.tensor for value in values]
        known = len({*names} - {INPUT}) == len(nodes)
        if dim not in (1, -3) or not known or any(each.flat or not each.whole for each in values):
            raise ValueError(
                f"Concatenation {named(node)} must join different images along their "
                "channels, dimension 1, not the network's own input"
            )
        shapes = [self.shapes[name] for name in names]
        if len({shape[1:] for shape in shapes}) > 1:
            raise ValueError(
                f"Concatenation {named(node)} must join images of one size, not "
                f"{' and '.join(str(shape[1:]) for shape in shapes)}"
            )
        self.shapes[node.name] = (sum(shape[0] for shape in shapes), *shapes[0][1:])
        self.depths[node.name] = max(self.depths[name] for name in names)
        self.parts[node.name] = JoinPart(name=node.name, inputs=tuple(names))
        self.values[node] = Value(tensor=node.name)

    def _every(self, node: fx.Node) -> None:
        """Take ``x[:, :, ::2, ::2]``."""
        value, stride = self.values[argument(node)], slice_stride(node.args[1])
        if stride is None or value.flat or not value.whole:
            raise ValueError(f"Slice {named(node)} must be x[:, :, ::n, ::n] of an image")
        self.values[node] = replace(value, stride=stride)

    def _pad(self, node: fx.Node) -> None:
        """Take ``functional.pad(x, (0, 0, 0, 0, before, after))``."""
        value = self.values[argument(node)]
        arguments = dict(zip(("pad", "mode", "value"), node.args[1:], strict=False)) | node.kwargs
        widths: Any = arguments["pad"]
        before, after = widths[4:] if len(widths) == 6 else (-1, -1)
        if (
            any(widths[:4])
            or min(before, after) < 0
            or arguments.get("mode", "constant") != "constant"
            or arguments.get("value")
            or value.flat
        ):
            raise ValueError(
                f"Pad {named(node)} must be (0, 0, 0, 0, before, after) with zeros: "
                "put the padding of pixels into the convolution"
            )
        self.values[node] = replace(value, before=value.before + before, after=value.after + after)

    def _shape(self, value: Value) -> Shape:
        """Return the shape of a value."""
        channels, height, width = self.shapes[value.tensor]
        stride = value.stride
        return (
            channels + value.before + value.after,
            (height - 1) // stride + 1,
            (width - 1) // stride + 1,
        )

    def _shortcut(self, node: fx.Node) -> None:
        """Give an add to the convolution that makes one of its operands."""
        operands = node.args
        if len(operands) != 2 or node.kwargs or any(o not in self.values for o in operands):
            raise ValueError(f"Add {named(node)} must add two tensors, without a factor")
        nodes = [operand for operand in operands if isinstance(operand, fx.Node)]
        first, second = nodes if self._takes_add(nodes[0]) else reversed(nodes)
        depth = self.depths[self.values[second].tensor] - self.depths[self.values[first].tensor]
        if self._takes_add(second) and depth > 0:
            # Both could: the shortcut is the branch of fewer layers.
            first, second = second, first
        value, added = self.values[first], self.values[second]
        if not self._takes_add(first) or value.tensor == added.tensor or added.flat:
            raise ValueError(
                f"Add {named(node)} must take a convolution, with or without batch "
                "norm, that nothing else reads, and an image to add to it"
            )
        if self._shape(value) != self._shape(added):
            raise ValueError(
                f"Add {named(node)} must add equal shapes, not {self._shape(value)} "
                f"and {self._shape(added)}"
            )
        layer = self.layers[value.tensor]
        layer.shortcut = Residual(
            tensor=added.tensor, stride=added.stride, channel_offset=added.before
        )
        # It runs when the shortcut is there.
        self.parts[layer.name] = self.parts.pop(layer.name)
        self.values[node] = value

    def _takes_add(self, node: fx.Node) -> bool:
        value = self.values[node]
        layer = self.layers.get(value.tensor)
        return (
            layer is not None
            and value.whole
            and not value.flat
            and layer.shortcut is None
            and not layer.relu
            and len(node.users) == 1
        )

    def _layer(
        self,
        node: fx.Node,
        source: str,
        window: Window,
        weight: Tensor,
        bias: Tensor | None,
        groups: int = 1,
    ) -> None:
        channels = self.shapes[source][0]
        if weight.shape[1] * groups != channels:
            raise ValueError(
                f"Layer {named(node)} must take {channels} channels, not {weight.shape[1] * groups}"
            )
        layer = LayerPart(
            name=node.name, input=source, window=window, weight=weight, bias=bias, groups=groups
        )
        self._add(node, layer, weight.shape[0])
        self.layers[layer.name] = layer

    def _pool(self, node: fx.Node, kind: PoolKind, window: Window) -> None:
        source = self._source(node, flat=False)
        pool = PoolPart(name=node.name, input=source, kind=kind, window=window)
        self._add(node, pool, self.shapes[source][0])

    def _add(self, node: fx.Node, part: LayerPart | PoolPart, channels: int) -> None:
        height, width = part.window.output(*self.shapes[part.input][1:])
        if height < 1 or width < 1:
            raise ValueError(
                f"Layer {named(node)} must have a window that fits into "
                f"{self.shapes[part.input][1:]}, not {part.window.kernel}"
            )
        self.shapes[part.name] = (channels, height, width)
        self.depths[part.name] = self.depths[part.input] + 1
        self.parts[part.name] = part
        self.values[node] = Value(tensor=part.name, flat=self.values[argument(node)].flat)

    def _absorbing(self, node: fx.Node, kind: str) -> LayerPart:
        """Return the layer that ``node`` becomes a part of."""
        source = argument(node)
        value = self.values[source]
        layer = self.layers.get(value.tensor) if value.whole else None
        if layer is None:
            raise ValueError(
                f"{kind} {named(node)} must directly follow a convolution or linear layer"
            )
        if len(source.users) != 1:
            raise ValueError(f"{kind} {named(node)} must be the only reader of {source.name}")
        self.values[node] = value
        return layer

    def check(self) -> None:
        """Raise ValueError unless every part leads to the logits of the last layer."""
        last = self.layers.get(self.logits)
        if last is None or last.relu or self.shapes[self.logits][1:] != (1, 1):
            raise ValueError(
                f"Model{self.place} must end in a linear layer, or a convolution to one pixel, "
                "without ReLU"
            )
        read = {name for part in self.parts.values() for name in reads(part)}
        made = {node.name: node for node in self.values}
        for name in self.parts:
            if (name in read) == (name == self.logits):
                raise ValueError(
                    f"Layer {named(made[name])} must lead to the logits, once, or be removed"
                )

    def is_edge(self, part: LayerPart) -> bool:
        """Return whether a layer reads the image or makes the logits."""
        return INPUT in makers(part.input, self.parts) or part.name == self.logits

    @cached_property
    def origins(self) -> dict[str, str]:
        """By layer, and the image: the first of those that have one quantiser with it."""
        return shared_origins([INPUT, *self.layers], self.parts)

    def origin(self, tensor: str) -> str:
        """Return the layer, or the image, whose quantiser ``tensor`` has."""
        return self.origins[makers(tensor, self.parts)[0]]
