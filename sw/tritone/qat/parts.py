# SPDX-License-Identifier: Apache-2.0
"""What a traced module is made of: values, layers, pools, concatenations, and their arguments."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, fx, nn

from tritone.graph import PoolKind, Window
from tritone.qat.modules import Residual
from tritone.qat.tracing import named

__all__ = [
    "JoinPart",
    "LayerPart",
    "Part",
    "PoolPart",
    "Shape",
    "Value",
    "argument",
    "makers",
    "norm_of_pixels",
    "reads",
    "require_default",
    "shared_origins",
    "slice_stride",
    "window_of",
]

Shape = tuple[int, int, int]


@dataclass(kw_only=True)
class Value:
    """What a traced operator makes of a tensor.

    Parameters
    ----------
    tensor : its name.
    flat : after Flatten.
    stride, before, after : every ``stride``-th pixel, with channels of 0 before and behind its own.
    """

    tensor: str
    flat: bool = False
    stride: int = 1
    before: int = 0
    after: int = 0

    @property
    def whole(self) -> bool:
        """The tensor itself, not a part of it."""
        return (self.stride, self.before, self.after) == (1, 0, 0)


@dataclass(kw_only=True)
class LayerPart:
    """A convolution or linear layer, until the operators behind it are known."""

    name: str
    input: str
    window: Window
    weight: Tensor
    bias: Tensor | None
    groups: int
    norm: nn.BatchNorm2d | None = None
    shortcut: Residual | None = None
    relu: bool = False


@dataclass(kw_only=True)
class JoinPart:
    """A concatenation of that name, which is the name of its output too.

    Parameters
    ----------
    inputs : tensors whose channels it has, one behind the other.
    """

    name: str
    inputs: tuple[str, ...]


@dataclass(kw_only=True)
class PoolPart:
    """A pool of that name, which is the name of its output too."""

    name: str
    input: str
    kind: PoolKind
    window: Window


Part = LayerPart | PoolPart | JoinPart


def reads(part: Part) -> tuple[str, ...]:
    """Return the tensors that a part takes."""
    if isinstance(part, JoinPart):
        return part.inputs
    if isinstance(part, LayerPart) and part.shortcut is not None:
        return part.input, part.shortcut.tensor
    return (part.input,)


def makers(tensor: str, parts: Mapping[str, Part]) -> list[str]:
    """Return the layers whose codes ``tensor`` has, or the image: pools keep their input's.

    Parameters
    ----------
    parts : by the tensor that they make.
    """
    match parts.get(tensor):
        case PoolPart() as pool:
            return makers(pool.input, parts)
        case JoinPart() as join:
            return [each for name in join.inputs for each in makers(name, parts)]
        case _:
            return [tensor]


def shared_origins(names: Iterable[str], parts: Mapping[str, Part]) -> dict[str, str]:
    """Return by layer the first of those that have one quantiser with it.

    What is concatenated has one zero and one step.

    Parameters
    ----------
    names : of the image and the layers, in their order.
    parts : by the tensor that they make.
    """
    found = {name: name for name in names}
    for part in parts.values():
        if isinstance(part, JoinPart):
            same = {found[name] for name in makers(part.name, parts)}
            first = next(name for name in found if name in same)
            found = {name: first if each in same else each for name, each in found.items()}
    return found


def norm_of_pixels(norm: nn.BatchNorm1d) -> nn.BatchNorm2d:
    """Return the batch norm of images of one pixel that ``norm`` is: a copy."""
    made = nn.BatchNorm2d(norm.num_features, norm.eps, norm.momentum)
    made.load_state_dict(norm.state_dict())
    return made.train(norm.training)


def argument(node: fx.Node) -> fx.Node:
    """Return the operator whose result ``node`` takes first."""
    source = node.args[0] if node.args else None
    if not isinstance(source, fx.Node):
        raise TypeError(f"Operator {named(node)} must take a tensor first, not {source!r}")
    return source


def _pair(value: int | tuple[int, int]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else value


def window_of(module: Any, name: str) -> Window:
    """Return the window of a convolution or pool, whose name is for messages."""
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


def require_default(module: nn.Module, name: str, **expected: object) -> None:
    """Raise ValueError where an option of ``module`` is not what the machine does.

    ``name`` is that of the layer, for the message.
    """
    for key, value in expected.items():
        found = getattr(module, key)
        found = found[0] if isinstance(found, tuple) and len(set(found)) == 1 else found
        if found != value:
            raise ValueError(f"Layer {name} must have {key} = {value!r}, not {found!r}")


def slice_stride(index: Any) -> int | None:
    """Return the stride of ``x[:, :, ::stride, ::stride]``, None for another index."""
    if not isinstance(index, tuple) or len(index) != 4:
        return None
    steps = [
        (each.step or 1) if isinstance(each, slice) and each.start is None is each.stop else None
        for each in index
    ]
    return steps[2] if steps[:2] == [1, 1] and steps[2] == steps[3] else None
