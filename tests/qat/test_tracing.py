# SPDX-License-Identifier: Apache-2.0
"""Traced operators have places in the source of their model."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from torch import Tensor, nn
from torch.nn import functional

from tritone.qat.draft import draft
from tritone.qat.tracing import forward_place, named, place, trace


class Around(nn.Module):
    """Layers one behind the other, all called in one line."""

    def __init__(self, layers: list[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        return x


class Lines(nn.Module):
    """Operators on lines that are counted from that of forward."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Conv2d(1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        x = self.inner(x)
        return functional.relu(x)


class Length(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        x = x + x
        return x.view(len(x), -1)


class Whole(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        x = x + x
        return x.view(int(x.shape[0]), -1)


class Faulty(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        sizes: dict[str, int] = {}
        return x.view(sizes["batch"], -1)


class Branch(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        x = x + x
        return x if x.sum() > 0 else -x


def line(function: Any, offset: int) -> str:
    """Return the place of a line, counted from the first one of a function."""
    return f" ({__file__}, line {inspect.getsourcelines(function)[1] + offset})"


def test_places() -> None:
    """Of an operator the line in the model, also where torch's own module calls it."""
    nodes = {node.name: node for node in trace(Lines()).nodes}
    assert place(nodes["inner_0"]) == line(Lines.forward, 1)
    assert named(nodes["relu"]) == f"relu{line(Lines.forward, 2)}"
    assert named(nodes["x"]) == "x"


@pytest.mark.parametrize(
    ("model", "told"),
    [
        (Length, "and fails: RuntimeError"),
        (Whole, "and fails: TypeError"),
        (Faulty, "and fails: KeyError: 'batch'"),
        (Branch, "without branches on values"),
    ],
)
def test_refuses_what_cannot_be_traced(model: type[nn.Module], told: str) -> None:
    """One line, with the innermost place in the model's own code, whatever is raised."""
    with pytest.raises(
        ValueError, match=rf"^Model must be traceable by torch\.fx, {told}"
    ) as caught:
        trace(model())
    assert str(caught.value).endswith(line(model.forward, 2))
    assert "\n" not in str(caught.value)


def test_place_of_a_model() -> None:
    """Where its forward begins; nothing for torch's own modules, and those without a source."""
    assert forward_place(Lines()) == line(Lines.forward, 0)
    assert forward_place(nn.Sequential()) == ""
    space: dict[str, Any] = {"nn": nn}
    exec("class Made(nn.Module):\n    def forward(self, x):\n        return x", space)
    assert forward_place(space["Made"]()) == ""


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([nn.Conv2d(1, 2, 3, dilation=2)], "must have dilation = 1, not 2"),
        (
            [nn.Conv2d(1, 2, 3, padding=1, padding_mode="circular")],
            "must have padding_mode = 'zeros', not 'circular'",
        ),
        ([nn.Conv2d(1, 2, 3, padding="same")], "must have padding in numbers, not 'same'"),
        ([nn.Conv2d(1, 2, 3, stride=(1, 2))], r"must have one stride, not \(1, 2\)"),
        ([nn.Conv2d(3, 2, 3)], "must take 1 channels, not 3"),
        ([nn.Conv2d(1, 2, 9)], r"must have a window that fits into \(8, 8\), not \(9, 9\)"),
        ([nn.MaxPool2d(2, ceil_mode=True)], "must have ceil_mode = False, not True"),
        ([nn.AvgPool2d(2, ceil_mode=True)], "must have ceil_mode = False, not True"),
        ([nn.AdaptiveAvgPool2d(2)], "must have output_size = 1, not 2"),
        ([nn.BatchNorm2d(1)], "must directly follow a convolution or linear layer"),
        (
            [nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2, affine=False)],
            "must have affine = True, not False",
        ),
        (
            [nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.BatchNorm2d(2)],
            "must directly follow a convolution",
        ),
        ([nn.Conv2d(1, 2, 3), nn.BatchNorm1d(2)], "must directly follow a linear layer"),
        ([nn.Conv2d(1, 2, 3), nn.ReLU(), nn.ReLU()], "must not follow another ReLU"),
        ([nn.Flatten(0)], "must flatten dimensions 1 to -1"),
        ([nn.Linear(8, 2)], "must read a flattened tensor"),
        ([nn.Flatten(), nn.Linear(8, 2)], "must take 64 inputs, not 8"),
        ([nn.Sigmoid()], "must be one of .*, not Sigmoid: write the model with those"),
    ],
    ids=str,
)
def test_refuses_with_file_and_line(layers: list[nn.Module], message: str) -> None:
    """Every option that the machine does not have is told of where the model calls its layer."""
    line = inspect.getsourcelines(Around.forward)[1] + 2
    with pytest.raises(ValueError, match=rf"^\w+ \w+ \({__file__}, line {line}\) {message}$"):
        draft(Around(layers), (1, 8, 8))
