# SPDX-License-Identifier: Apache-2.0
"""What functions and methods are as modules: they compute the same."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from joins import SHAPE as JOINS_SHAPE
from joins import Joins
from torch import Tensor, fx, nn
from torch.nn import functional

from tritone.qat.draft import draft
from tritone.qat.operators import Extents, as_module, joined_nodes
from tritone.qat.parts import JoinPart

SHAPE = (4, 7, 6)


def nodes(forward: Callable[[Tensor], object]) -> list[fx.Node]:
    """Return the operators of a traced function, without its placeholder and output."""
    traced = fx.symbolic_trace(forward)
    return [node for node in traced.graph.nodes if node.op not in ("placeholder", "output")]


@pytest.mark.parametrize(
    "forward",
    [
        lambda x: functional.max_pool2d(x, 3, 2, 1),
        lambda x: functional.max_pool2d(x, kernel_size=(3, 2), ceil_mode=True),
        lambda x: torch.max_pool2d(x, 2, 1, 0, 2),
        lambda x: functional.avg_pool2d(x, 3),
        lambda x: functional.avg_pool2d(x, (2, 3), 2, 1, True, False),
        lambda x: functional.avg_pool2d(x, 2, divisor_override=3),
        lambda x: functional.adaptive_avg_pool2d(x, 2),
        lambda x: functional.adaptive_avg_pool2d(x, output_size=(1, 1)),
        lambda x: torch.flatten(x, 1),
        lambda x: torch.flatten(x),
        lambda x: x.flatten(start_dim=2),
        lambda x: x.relu(),
        lambda x: functional.relu(x),
        lambda x: torch.relu(x),
        lambda x: functional.dropout(x, 0.5, False),
        lambda x: functional.dropout2d(x, training=False),
    ],
)
def test_modules_compute_the_same(forward: Callable[[Tensor], Tensor]) -> None:
    """Of random numbers, with the defaults that the function has."""
    x = torch.randn(3, *SHAPE, generator=torch.Generator().manual_seed(0))
    (node,) = nodes(forward)
    module = as_module(node, {})
    assert module is not None
    assert torch.equal(module.eval()(x), forward(x))


def test_others_are_none() -> None:
    """An operator that is no module, and a module itself."""
    (node,) = nodes(lambda x: x * 2)
    assert as_module(node, {}) is None
    model = nn.Sequential(nn.Sigmoid())
    called = next(node for node in fx.symbolic_trace(model).graph.nodes if node.op == "call_module")
    assert as_module(called, dict(model.named_modules())) is model[0]


@pytest.mark.parametrize(
    ("forward", "flat"),
    [
        (lambda x: x.view(x.size(0), -1), True),
        (lambda x: x.view((x.size(0), -1)), True),
        (lambda x: x.reshape(x.shape[0], 168), True),
        (lambda x: torch.reshape(x, (x.size()[0], -1)), True),
        (lambda x: x.view(-1, 168), True),
        (lambda x: x.view(x.size(0), x.size(1)), False),
        (lambda x: x.view(-1, 84), False),
        (lambda x: x.view(3, -1), False),
        (lambda x: x.view(x.size(0), 4, -1), False),
        (lambda x: x.view(x.size(1), -1), False),
    ],
)
def test_views_that_flatten(forward: Callable[[Tensor], Tensor], flat: bool) -> None:
    """The batch is kept, in words, and everything else is one dimension."""
    extents = Extents()
    *sizes, view = nodes(forward)
    assert all(extents.take(node, lambda _: SHAPE) for node in sizes)
    assert not extents.take(view, lambda _: SHAPE)
    assert extents.flattens(view, SHAPE) == flat


@pytest.mark.parametrize(
    "join",
    [
        lambda x, y: torch.cat((x, y), 1),
        lambda x, y: torch.concat([x, y], dim=1),
        lambda x, y: torch.concatenate(tensors=[x, y], axis=1),
    ],
)
def test_what_is_joined(join: Callable[[Tensor, Tensor], Tensor]) -> None:
    """Tensors in their order, and the dimension."""
    graph = fx.symbolic_trace(join).graph
    first, second, node, _ = graph.nodes
    assert joined_nodes(node) == ([first, second], 1)


class Spelled(nn.Module):
    """The same network, of modules or of functions and methods."""

    def __init__(self, modules: bool) -> None:
        super().__init__()
        self.modules_only = modules
        self.conv, self.last = nn.Conv2d(1, 4, 3), nn.Linear(4, 2)
        self.relu, self.largest = nn.ReLU(), nn.MaxPool2d(3, 1, 1)
        self.average, self.mean = nn.AvgPool2d((2, 1), stride=2), nn.AdaptiveAvgPool2d(1)
        self.flat, self.drop = nn.Flatten(), nn.Dropout(0.3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        if self.modules_only:
            x = self.average(self.largest(self.relu(x)))
            return self.last(self.drop(self.flat(self.mean(x))))
        x = functional.max_pool2d(x.relu(), 3, stride=1, padding=1)
        x = functional.avg_pool2d(x, (2, 1), 2)
        x = functional.adaptive_avg_pool2d(x, (1, 1))
        return self.last(functional.dropout(x.view(x.size(0), -1), 0.3))


def test_functions_are_modules() -> None:
    """Pools, ReLU, dropout and flatten however they are written: the same parts."""
    drafts = [draft(Spelled(modules), (1, 8, 8)) for modules in (True, False)]
    parts = [
        [
            (type(part), part.window, getattr(part, "kind", None), getattr(part, "relu", None))
            for part in each.parts.values()
        ]
        for each in drafts
    ]
    assert parts[0] == parts[1]
    assert len(parts[0]) == 5
    assert [list(each.shapes.values()) for each in drafts] == [
        [(1, 8, 8), (4, 6, 6), (4, 6, 6), (4, 3, 3), (4, 1, 1), (2, 1, 1)]
    ] * 2


@pytest.mark.parametrize(
    "flatten",
    [
        lambda x: x.reshape(x.shape[0], -1),
        lambda x: torch.reshape(x, (x.size()[0], 256)),
        lambda x: x.view(-1, 256),
        lambda x: x.flatten(1, -1),
        lambda x: x.mean((2, 3), keepdim=True).mean([-1, -2]),
    ],
    ids=["shape", "size", "count", "flatten", "mean"],
)
def test_flattens(flatten: Callable[[Tensor], Tensor]) -> None:
    """Whatever makes vectors of images is a flatten, or an average and one."""

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 4, 1)
            probe = flatten(torch.zeros(3, 4, 8, 8))
            self.last = nn.Linear(probe.shape[1], 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.last(flatten(self.conv(x)))

    found = draft(Model(), (1, 8, 8))
    assert found.shapes["last"] == (2, 1, 1)
    window = found.layers["last"].window.kernel
    assert window == ((8, 8) if Model().last.in_features == 256 else (1, 1))


def test_concatenations_share_a_quantiser() -> None:
    """Of all that is joined, through pools and other joins; others have their own."""
    found = draft(Joins(), JOINS_SHAPE)
    assert found.parts["cat"] == JoinPart(name="cat", inputs=("left", "max_pool2d"))
    assert found.parts["cat_1"] == JoinPart(name="cat_1", inputs=("cat", "right"))
    assert found.shapes["cat_1"] == (11, 9, 9)
    origins = {name: found.origin(name) for name in found.shapes}
    assert {name for name, origin in origins.items() if origin == "middle"} == {
        "left",
        "middle",
        "max_pool2d",
        "right",
        "cat",
        "cat_1",
    }
    assert origins["first"] == "first"
    assert origins["mixed"] == "mixed"
    assert found.depths["cat_1"] == found.depths["right"] == 4
    assert isinstance(found.layers["hidden"].norm, nn.BatchNorm2d)
