# SPDX-License-Identifier: Apache-2.0
"""Conversion."""

from __future__ import annotations

import copy

import pytest
import torch
from branches import Branches
from joins import Joins
from torch import Tensor, nn

from tritone.graph import PoolKind, Window
from tritone.qat.activation_method import ActivationKind, ActivationMethod
from tritone.qat.activations import ActivationQuantizer
from tritone.qat.adapters import AdaptiveQuantizer
from tritone.qat.convert import convert
from tritone.qat.estimators import EstimatorKind
from tritone.qat.method import LayerMethod, Method, WeightMethod
from tritone.qat.models.digits import Digits
from tritone.qat.modules import QuantizedConvolution, QuantizedPool, Residual, real_input
from tritone.qat.precision import Multipliers, Precision
from tritone.qat.scales import ScaleRule

POST = Precision(weights="post4", act_bits=4)
DIGITS = (1, 8, 8)
SHAPE = (2, 9, 9)


def test_digits_becomes_six_nodes() -> None:
    """Batch norm and ReLU join their convolution; edges are 8 bit, the middle is 4 bit."""
    model = convert(Digits(1, 10), DIGITS, POST)
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
    assert [layer.weight_quantizer.scale.start for layer in layers] == [
        ScaleRule.LARGEST,
        ScaleRule.PERCENTILE,
        ScaleRule.PERCENTILE,
        ScaleRule.LARGEST,
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
    quantized = convert(model, DIGITS, POST)
    quantized.train()
    quantized(torch.zeros(2, 1, 8, 8, dtype=torch.uint8))
    with torch.no_grad():
        for parameter in quantized.parameters():
            parameter.fill_(7.0)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


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


def test_residual_adds_belong_to_layers() -> None:
    """Identity, strided and padded, convolved: an add is its deeper convolution's shortcut."""
    model = convert(Branches(), SHAPE, POST)
    nodes = {node.name: node for node in model.nodes}
    order = list(nodes)
    assert order.index("side") < order.index("point")
    shortcuts = {
        name: node.shortcut
        for name, node in nodes.items()
        if isinstance(node, QuantizedConvolution) and node.shortcut is not None
    }
    assert shortcuts == {
        "same": Residual(tensor="first"),
        "wider": Residual(tensor="same", stride=2, channel_offset=1),
        "point": Residual(tensor="side"),
        "last": Residual(tensor="point"),
    }
    assert nodes["deep"].groups == 6
    assert nodes["few"].groups == 2
    quantizers = {name: getattr(node, "output_quantizer", None) for name, node in nodes.items()}
    # The grid of the readers that convolve; of stream codes where only an add reads.
    assert {name: (q.bits, q.zero) for name, q in quantizers.items() if q} == {
        "first": (4, 0),
        "same": (4, 0),
        "wider": (4, 0),
        "deep": (4, 0),
        "few": (4, 0),
        "side": (8, 128),
        "point": (4, 0),
        "last": (8, 128),
    }


def test_concatenations_keep_the_order_of_channels(images: Tensor) -> None:
    """With 8 bits everywhere the network is nearly the one in full precision.

    A step is 1/255 of a range; permuted channels, or a batch norm of other channels, would leave
    no likeness of the logits, but rounding leaves more than 99 % of their length.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        model = Joins()
    quantized = convert(model, SHAPE, Precision(weights="int8", act_bits=8))
    for each in (model, quantized):
        each.train()
        for module in each.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
    with torch.no_grad():
        for _ in range(30):
            quantized(images)
            model(real_input(images))
        model.eval()
        quantized.eval()
        wanted, found = model(real_input(images)), quantized(images)
    wanted, found = wanted - wanted.mean(0), found - found.mean(0)
    assert float(nn.functional.cosine_similarity(wanted.flatten(), found.flatten(), 0)) > 0.99
    nodes = {node.name: node for node in quantized.nodes}
    assert nodes["left"].output_quantizer is nodes["right"].output_quantizer
    assert nodes["left"].output_quantizer.zero == 128  # middle has no ReLU
    assert nodes["mixed"].output_quantizer is not nodes["right"].output_quantizer


def test_parts_of_concatenations_have_fixed_steps() -> None:
    """Each image's beta belongs to one tensor: asq is lsq where quantisers are shared."""

    class Unsigned(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Conv2d(2, 4, 3)
            self.one, self.two = nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1)
            self.last, self.logits = nn.Conv2d(8, 4, 1), nn.Conv2d(4, 2, 7)

        def forward(self, x: Tensor) -> Tensor:
            x = self.first(x).relu()
            x = torch.cat((self.one(x).relu(), self.two(x).relu()), 1)
            return self.logits(self.last(x).relu())

    method = Method(activations=ActivationMethod(quantizer=ActivationKind.ASQ))
    model = convert(Unsigned(), SHAPE, POST, method)
    kinds = {node.name: type(getattr(node, "output_quantizer", None)) for node in model.nodes}
    assert kinds["first"] is AdaptiveQuantizer
    assert kinds["one"] is kinds["two"] is ActivationQuantizer


def test_refuses_concatenated_shortcuts_with_half_octaves() -> None:
    """The step of a layer with a shortcut is a power of two times that of the shortcut."""

    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.one, self.two = (nn.Conv2d(2, 2, 1) for _ in range(3))
            self.logits = nn.Conv2d(4, 2, 9)

        def forward(self, x: Tensor) -> Tensor:
            x = self.first(x).relu()
            return self.logits(torch.cat(((self.one(x) + x).relu(), self.two(x).relu()), 1))

    half = Precision(weights="post4", act_bits=4, multipliers=Multipliers.HALF_OCTAVE)
    message = (
        r"^Layer one must not add a shortcut and be concatenated with half_octave multipliers: its "
        r"step is that of the shortcut times a power of two; train with multipliers = integer$"
    )
    with pytest.raises(ValueError, match=message):
        convert(Both(), SHAPE, half)


def test_refuses_exceptions_for_nothing(mixed: nn.Module) -> None:
    """A pattern of the recipe that matches no layer is told before training starts."""
    method = Method(layers=(LayerMethod(pattern="fifth"),))
    with pytest.raises(ValueError, match=r"^Recipe layers pattern must match one of first, second"):
        convert(mixed, (2, 9, 9), Precision(weights="post4", act_bits=4), method)


RANDOM = {
    # The state of the noise of two middle layers and three tensors.
    ".state": Method(
        weights=WeightMethod(estimator=EstimatorKind.NOISE),
        activations=ActivationMethod(estimator=EstimatorKind.NOISE),
    ),
    # Two adapters with a hidden layer each.
    ".adapter.hidden.weight": Method(activations=ActivationMethod(quantizer=ActivationKind.ASQ)),
    ".adapter.hidden.bias": Method(activations=ActivationMethod(quantizer=ActivationKind.ASQ)),
    ".adapter.last.weight": Method(activations=ActivationMethod(quantizer=ActivationKind.ASQ)),
}


@pytest.mark.parametrize(("ending", "count"), [*zip(RANDOM, (5, 2, 2, 2), strict=True)])
def test_what_is_random_has_a_seed(ending: str, count: int) -> None:
    """Tensors differ, and a seed changes all of them, whatever torch's generator has drawn."""
    model = Digits(1, 10)

    def drawn(seed: int) -> list[Tensor]:
        torch.rand(1)  # moves the global generator
        state = convert(model, DIGITS, POST, RANDOM[ending], seed).state_dict()
        return [value for name, value in state.items() if name.endswith(ending)]

    found = [drawn(seed) for seed in range(3)]
    assert all(map(torch.equal, found[1], drawn(1)))
    every = [value for run in found for value in run]
    assert len(every) == 3 * count
    for i, one in enumerate(every):
        assert not any(torch.equal(one, other) for other in every[:i])


@pytest.mark.parametrize("rule", ScaleRule)
def test_converts_where_the_weights_are(rule: ScaleRule, mixed: nn.Module) -> None:
    """All of the result lies there; tensors of two devices would not meet in an operator.

    The meta device stands for an accelerator: torch refuses to mix it with the processor too.
    """
    method = Method(
        weights=WeightMethod(scale=rule),
        activations=ActivationMethod(quantizer=ActivationKind.ASQ),
    )
    model = convert(copy.deepcopy(mixed).to("meta"), (2, 9, 9), POST, method)
    assert {each.device.type for each in (*model.parameters(), *model.buffers())} == {"meta"}
