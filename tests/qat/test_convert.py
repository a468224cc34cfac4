# SPDX-License-Identifier: Apache-2.0
"""Conversion."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from tritone.graph import PoolKind, Window
from tritone.qat.convert import convert
from tritone.qat.models.digits import Digits
from tritone.qat.modules import QuantizedConvolution, QuantizedPool
from tritone.qat.precision import Precision
from tritone.qat.quantizers import AlphaStart

POST = Precision(weights="post4", act_bits=4)
SHAPE = (1, 8, 8)


def test_digits_becomes_six_nodes() -> None:
    """Batch norm and ReLU join their convolution; edges are 8 bit, the middle is 4 bit."""
    model = convert(Digits(1, 10), SHAPE, POST)
    assert [(node.name, node.input, node.output) for node in model.nodes] == [
        ("conv1", "input", "conv1"),
        ("conv2", "conv1", "conv2"),
        ("conv3", "conv2", "conv3"),
        ("maxpool", "conv3", "maxpool"),
        ("avgpool", "maxpool", "avgpool"),
        ("linear", "avgpool", "linear"),
    ]
    assert model.shapes == {
        "input": (1, 8, 8),
        "conv1": (16, 8, 8),
        "conv2": (32, 4, 4),
        "conv3": (32, 4, 4),
        "maxpool": (32, 2, 2),
        "avgpool": (32, 1, 1),
        "linear": (10, 1, 1),
    }
    layers = [node for node in model.nodes if isinstance(node, QuantizedConvolution)]
    assert [(layer.weight_quantizer.book.name, layer.bits) for layer in layers] == [
        ("int8", 8),
        ("post4", 4),
        ("post4", 4),
        ("int8", 8),
    ]
    assert [layer.weight_quantizer.start for layer in layers] == [
        AlphaStart.MAXIMUM,
        AlphaStart.PERCENTILE,
        AlphaStart.PERCENTILE,
        AlphaStart.MAXIMUM,
    ]
    # A tensor's grid is that of its reader, seen through the pools.
    widths = [layer.output_quantizer and layer.output_quantizer.bits for layer in layers]
    assert widths == [4, 4, 8, None]
    assert layers[1].window == Window(kernel=(3, 3), stride=2, pad=(1, 1, 1, 1))
    pools = [node for node in model.nodes if isinstance(node, QuantizedPool)]
    assert [(pool.kind, pool.window) for pool in pools] == [
        (PoolKind.MAX, Window(kernel=(2, 2), stride=2)),
        (PoolKind.AVERAGE, Window(kernel=(2, 2))),
    ]


def test_weights_are_copies() -> None:
    """Training the quantised model leaves the other one as it was."""
    model = Digits(1, 10)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    quantized = convert(model, SHAPE, POST)
    quantized.train()
    quantized(torch.zeros(2, 1, 8, 8, dtype=torch.uint8))
    with torch.no_grad():
        for parameter in quantized.parameters():
            parameter.fill_(7.0)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


class Branching(nn.Module):
    """The pool leads nowhere."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3)
        self.pool = nn.MaxPool2d(3)
        self.last = nn.Conv2d(4, 2, 6)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        self.pool(x)
        return self.last(x)


def test_a_linear_layer_sees_channels_first() -> None:
    """Flatten keeps the order channel, row, column: equal to the full-precision model's layer."""
    linear = nn.Linear(2 * 3 * 4, 5)
    model = nn.Sequential(nn.Flatten(), linear)
    (node,) = convert(model, (2, 3, 4), POST).nodes
    assert isinstance(node, QuantizedConvolution)
    x = torch.randint(-9, 10, (6, 2, 3, 4), generator=torch.Generator().manual_seed(0)).float()
    with torch.no_grad():  # integers, so that the order of the sums does not matter
        for layer in (linear, node):
            layer.weight.copy_(torch.round(layer.weight * 50))
            layer.bias.copy_(torch.round(layer.bias * 50))
    expected = linear(x.flatten(1))
    assert len(expected.unique()) > 20
    assert torch.equal(nn.functional.conv2d(x, node.weight, node.bias).flatten(1), expected)


class TwoInputs(nn.Module):
    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return x


class TwoOutputs(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x, x


class Add(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x) + x


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(self.conv(x))


class ReadAgain(nn.Module):
    """The convolution's output is read before its ReLU too."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 8)
        self.relu = nn.ReLU()
        self.pool = nn.MaxPool2d(1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        self.pool(y)
        return self.relu(y)


def chain(*layers: nn.Module) -> Callable[[], nn.Module]:
    return lambda: nn.Sequential(*layers)


OPERATORS = "Conv2d, BatchNorm2d, ReLU, MaxPool2d, AvgPool2d, AdaptiveAvgPool2d, Flatten, Linear"


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            chain(nn.Conv2d(1, 2, 3), nn.Sigmoid()),
            rf"^Operator _1 must be one of {OPERATORS}, not Sigmoid$",
        ),
        (Add, rf"^Operator add must be one of {OPERATORS}, not .*add.*$"),
        (Twice, r"^Layer conv_1 must be used once: its weights cannot be shared$"),
        (TwoInputs, r"^Model must have one input, not also y$"),
        (ReadAgain, r"^ReLU relu must be the only reader of conv$"),
        (Branching, r"^Layer pool must lead to the logits, once, or be removed$"),
        (chain(nn.ReLU()), r"^ReLU _0 must directly follow a convolution or linear layer$"),
        (
            chain(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.ReLU()),
            r"^ReLU _2 must not follow another ReLU$",
        ),
        (
            chain(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.BatchNorm2d(2)),
            r"^BatchNorm2d _2 must directly follow a convolution$",
        ),
        (
            chain(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2, affine=False)),
            r"^Layer _1 must have affine = True, not False$",
        ),
        (
            chain(nn.Conv2d(1, 2, 3, stride=(1, 2))),
            r"^Layer _0 must have one stride, not \(1, 2\)$",
        ),
        (
            chain(nn.Conv2d(1, 2, 3, padding="same")),
            r"^Layer _0 must have padding in numbers, not 'same'$",
        ),
        (chain(nn.Conv2d(1, 2, 3, dilation=2)), r"^Layer _0 must have dilation = 1, not 2$"),
        (
            chain(nn.Conv2d(1, 2, 3, padding=1, padding_mode="reflect")),
            r"^Layer _0 must have padding_mode = 'zeros', not 'reflect'$",
        ),
        (chain(nn.Conv2d(2, 2, 3, groups=2)), r"^Layer _0 must have groups = 1, not 2$"),
        (chain(nn.Conv2d(3, 2, 3)), r"^Layer _0 must take 1 channels, not 3$"),
        (
            chain(nn.Conv2d(1, 2, 9)),
            r"^Layer _0 must have a window that fits into \(8, 8\), not \(9, 9\)$",
        ),
        (chain(nn.Linear(8, 2)), r"^Layer _0 must read a flattened tensor$"),
        (chain(nn.Flatten(), nn.Linear(8, 2)), r"^Layer _1 must take 64 inputs, not 8$"),
        (
            chain(nn.Flatten(), nn.MaxPool2d(2)),
            r"^Layer _1 must read an image, not a flattened tensor$",
        ),
        (chain(nn.Flatten(0)), r"^Flatten _0 must flatten dimensions 1 to -1$"),
        (
            chain(nn.MaxPool2d(2, ceil_mode=True)),
            r"^Layer _0 must have ceil_mode = False, not True$",
        ),
        (
            chain(nn.AvgPool2d(3, padding=1, count_include_pad=False)),
            r"^Layer _0 must have count_include_pad = True, not False$",
        ),
        (chain(nn.AdaptiveAvgPool2d(2)), r"^Layer _0 must have output_size = 1, not 2$"),
        (
            chain(nn.Conv2d(1, 2, 8), nn.ReLU()),
            r"^Model must end in a linear layer, or a convolution to one pixel, without ReLU$",
        ),
        (
            chain(nn.Conv2d(1, 2, 3), nn.MaxPool2d(6)),
            r"^Model must end in a linear layer, or a convolution to one pixel, without ReLU$",
        ),
    ],
)
def test_refuses_by_name(build: Callable[[], nn.Module], message: str) -> None:
    """What the machine does not have is refused with the layer's name."""
    with pytest.raises(ValueError, match=message):
        convert(build(), SHAPE, POST)


def test_refuses_two_results() -> None:
    """A network has one output."""
    with pytest.raises(TypeError, match=r"^Model must return one tensor, not \(x, x\)$"):
        convert(TwoOutputs(), SHAPE, POST)
