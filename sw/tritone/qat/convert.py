# SPDX-License-Identifier: Apache-2.0
"""From a full-precision module to a quantised one."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from tritone.graph import PoolKind, Window
from tritone.qat.activations import ActivationQuantizer
from tritone.qat.modules import INPUT, QuantizedConvolution, QuantizedModel, QuantizedPool
from tritone.qat.precision import Precision
from tritone.qat.quantizers import AlphaStart, WeightQuantizer
from tritone.spec.catalog import codebook

__all__ = ["convert"]

Shape = tuple[int, int, int]

OPERATORS = "Conv2d, BatchNorm2d, ReLU, MaxPool2d, AvgPool2d, AdaptiveAvgPool2d, Flatten, Linear"


@dataclass(kw_only=True)
class _Value:
    """What a traced operator makes: a tensor of that name; flat after Flatten."""

    tensor: str
    flat: bool = False


@dataclass(kw_only=True)
class _Layer:
    """A convolution or linear layer, until the operators behind it are known."""

    name: str
    input: str
    window: Window
    weight: Tensor
    bias: Tensor | None
    norm: nn.BatchNorm2d | None = None
    relu: bool = False


@dataclass(kw_only=True)
class _Pool:
    """A pool of that name, which is the name of its output too."""

    name: str
    input: str
    kind: PoolKind
    window: Window


def convert(model: nn.Module, shape: Shape, precision: Precision) -> QuantizedModel:
    """Return a quantised model with copies of the weights of ``model``.

    Parameters
    ----------
    model : traceable by torch.fx; reads ``(u - 128) / 64`` of the raw bytes u.
    shape : channels, height and width of the image.
    precision : bits of the layers.

    Raises
    ------
    ValueError : an operator, or an order of operators, that the machine does not have; it is named.
    """
    draft = _Draft(model, shape)
    for node in fx.Tracer().trace(model).nodes:
        draft.take(node)
    return draft.build(precision)


def _argument(node: fx.Node) -> fx.Node:
    """Return the operator whose result ``node`` takes first."""
    source = node.args[0] if node.args else None
    if not isinstance(source, fx.Node):
        raise TypeError(f"Operator {node.name} must take a tensor first, not {source!r}")
    return source


def _pair(value: int | tuple[int, int]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else value


def _window(module: Any, name: str) -> Window:
    """Return the window of a convolution or pool."""
    if module.padding in ("same", "valid"):
        raise ValueError(f"Layer {name} must have padding in numbers, not {module.padding!r}")
    stride = _pair(module.stride)
    if stride[0] != stride[1]:
        raise ValueError(f"Layer {name} must have one stride, not {stride}")
    height, width = _pair(module.padding)
    return Window(
        kernel=_pair(module.kernel_size),
        stride=stride[0],
        pad=(height, width, height, width),
    )


def _require_default(module: nn.Module, name: str, **expected: object) -> None:
    """Raise ValueError where an option of ``module`` is not what the machine does."""
    for key, value in expected.items():
        found = getattr(module, key)
        found = found[0] if isinstance(found, tuple) and len(set(found)) == 1 else found
        if found != value:
            raise ValueError(f"Layer {name} must have {key} = {value!r}, not {found!r}")


class _Draft:
    """Collects layers and pools in the order of the trace."""

    def __init__(self, model: nn.Module, shape: Shape) -> None:
        self.modules = dict(model.named_modules(remove_duplicate=False))
        self.used: set[int] = set()
        self.shapes: dict[str, Shape] = {INPUT: shape}
        self.parts: dict[str, _Layer | _Pool] = {}  # by output tensor
        self.layers: dict[str, _Layer] = {}  # those of the parts
        self.values: dict[fx.Node, _Value] = {}
        self.logits = ""

    def take(self, node: fx.Node) -> None:
        """Add one traced operator."""
        match node.op:
            case "placeholder":
                if self.values:
                    raise ValueError(f"Model must have one input, not also {node.target}")
                self.values[node] = _Value(tensor=INPUT)
            case "output":
                result = node.args[0]
                if not isinstance(result, fx.Node):
                    raise TypeError(f"Model must return one tensor, not {result!r}")
                self.logits = self.values[result].tensor
            case _:
                self._operator(node)

    def _operator(self, node: fx.Node) -> None:
        module = self.modules[str(node.target)] if node.op == "call_module" else None
        name = node.name
        if module is not None and any(True for _ in module.parameters()):
            if id(module) in self.used:
                raise ValueError(f"Layer {name} must be used once: its weights cannot be shared")
            self.used.add(id(module))
        flatten = node.target == "flatten" or getattr(node.target, "__name__", "") == "flatten"
        if isinstance(module, nn.Flatten) or (module is None and flatten):
            self._flatten(node, module)
        elif isinstance(module, nn.Conv2d):
            source = self._source(node, flat=False)
            _require_default(module, name, groups=1, dilation=1, padding_mode="zeros")
            window = _window(module, name)
            self._layer(node, source, window, module.weight, module.bias)
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
            if layer.norm is not None or layer.relu or self.values[_argument(node)].flat:
                raise ValueError(f"BatchNorm2d {name} must directly follow a convolution")
            _require_default(module, name, affine=True, track_running_stats=True)
            layer.norm = module
        elif isinstance(module, nn.ReLU) or node.target in (functional.relu, torch.relu):
            layer = self._absorbing(node, "ReLU")
            if layer.relu:
                raise ValueError(f"ReLU {name} must not follow another ReLU")
            layer.relu = True
        elif isinstance(module, nn.MaxPool2d):
            _require_default(module, name, dilation=1, ceil_mode=False, return_indices=False)
            self._pool(node, PoolKind.MAX, _window(module, name))
        elif isinstance(module, nn.AvgPool2d):
            _require_default(module, name, ceil_mode=False, divisor_override=None)
            window = _window(module, name)
            if any(window.pad):
                _require_default(module, name, count_include_pad=True)
            self._pool(node, PoolKind.AVERAGE, window)
        elif isinstance(module, nn.AdaptiveAvgPool2d):
            _require_default(module, name, output_size=1)
            _, height, width = self.shapes[self._source(node, flat=False)]
            self._pool(node, PoolKind.AVERAGE, Window(kernel=(height, width)))
        else:
            kind = type(module).__name__ if module is not None else str(node.target)
            raise ValueError(f"Operator {name} must be one of {OPERATORS}, not {kind}")

    def _source(self, node: fx.Node, flat: bool) -> str:
        """Return the tensor that ``node`` reads."""
        value = self.values[_argument(node)]
        if value.flat != flat:
            kind = "a flattened tensor" if flat else "an image, not a flattened tensor"
            raise ValueError(f"Layer {node.name} must read {kind}")
        return value.tensor

    def _flatten(self, node: fx.Node, module: nn.Module | None) -> None:
        arguments = (
            (module.start_dim, module.end_dim)
            if module is not None
            else (*node.args[1:], *node.kwargs.values())
        )
        if arguments not in ((1,), (1, -1)):
            raise ValueError(f"Flatten {node.name} must flatten dimensions 1 to -1")
        self.values[node] = _Value(tensor=self.values[_argument(node)].tensor, flat=True)

    def _layer(
        self, node: fx.Node, source: str, window: Window, weight: Tensor, bias: Tensor | None
    ) -> None:
        channels = self.shapes[source][0]
        if weight.shape[1] != channels:
            raise ValueError(
                f"Layer {node.name} must take {channels} channels, not {weight.shape[1]}"
            )
        layer = _Layer(name=node.name, input=source, window=window, weight=weight, bias=bias)
        self._add(node, layer, weight.shape[0])
        self.layers[layer.name] = layer

    def _pool(self, node: fx.Node, kind: PoolKind, window: Window) -> None:
        source = self._source(node, flat=False)
        pool = _Pool(name=node.name, input=source, kind=kind, window=window)
        self._add(node, pool, self.shapes[source][0])

    def _add(self, node: fx.Node, part: _Layer | _Pool, channels: int) -> None:
        height, width = part.window.output(*self.shapes[part.input][1:])
        if height < 1 or width < 1:
            raise ValueError(
                f"Layer {part.name} must have a window that fits into "
                f"{self.shapes[part.input][1:]}, not {part.window.kernel}"
            )
        self.shapes[part.name] = (channels, height, width)
        self.parts[part.name] = part
        self.values[node] = _Value(tensor=part.name, flat=self.values[_argument(node)].flat)

    def _absorbing(self, node: fx.Node, kind: str) -> _Layer:
        """Return the layer that ``node`` becomes a part of."""
        source = _argument(node)
        value = self.values[source]
        layer = self.layers.get(value.tensor)
        if layer is None:
            raise ValueError(
                f"{kind} {node.name} must directly follow a convolution or linear layer"
            )
        if len(source.users) != 1:
            raise ValueError(f"{kind} {node.name} must be the only reader of {source.name}")
        self.values[node] = value
        return layer

    def build(self, precision: Precision) -> QuantizedModel:
        """Return the quantised model of what was taken."""
        last = self.layers.get(self.logits)
        if last is None or last.relu or self.shapes[self.logits][1:] != (1, 1):
            raise ValueError(
                "Model must end in a linear layer, or a convolution to one pixel, without ReLU"
            )
        read = {part.input for part in self.parts.values()}
        for name in self.parts:
            if (name in read) == (name == self.logits):
                raise ValueError(f"Layer {name} must lead to the logits, once, or be removed")
        bits = {
            name: precision.edge_act_bits if self._is_edge(part) else precision.act_bits
            for name, part in self.layers.items()
        }
        # Nothing joins two branches, so a tensor that leads to the logits has one reader.
        reader = {self._origin(self.layers[name].input): width for name, width in bits.items()}
        nodes: list[QuantizedConvolution | QuantizedPool] = []
        for name, part in self.parts.items():
            if isinstance(part, _Pool):
                nodes.append(QuantizedPool(output=name, **vars(part)))
                continue
            edge = self._is_edge(part)
            nodes.append(
                QuantizedConvolution(
                    output=name,
                    bits=bits[name],
                    weight_quantizer=WeightQuantizer(
                        codebook(precision.edge_weights if edge else precision.weights),
                        part.weight.shape[0],
                        AlphaStart.MAXIMUM if edge else AlphaStart.PERCENTILE,
                    ),
                    output_quantizer=None
                    if name == self.logits
                    else ActivationQuantizer(reader[name], signed=not part.relu),
                    **{**vars(part), "norm": copy.deepcopy(part.norm)},
                )
            )
        return QuantizedModel(self.shapes, nodes)

    def _is_edge(self, part: _Layer) -> bool:
        """Return whether a layer reads the image or makes the logits."""
        return self._origin(part.input) == INPUT or part.name == self.logits

    def _origin(self, tensor: str) -> str:
        """Return the tensor whose quantiser ``tensor`` has: pools keep their input's."""
        part = self.parts.get(tensor)
        return self._origin(part.input) if isinstance(part, _Pool) else tensor
