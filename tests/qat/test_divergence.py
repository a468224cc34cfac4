# SPDX-License-Identifier: Apache-2.0
"""The layer that stopped being finite is named."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from rich.console import Console
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from tritone.qat.divergence import culprit, gradient_culprit, largest_gradient
from tritone.qat.exact import ExactModel
from tritone.qat.models.digits import Digits
from tritone.qat.modules import QuantizedConvolution, QuantizedModel, real_input
from tritone.qat.parallel import wrap
from tritone.qat.recipe import ExactTuning, Recipe, load_recipe
from tritone.qat.train import train

QUIET = Console(quiet=True)


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize(("index", "name"), [(0, "first"), (2, "second"), (6, "logits")])
def test_quantized_layers(
    index: int, name: str, value: float, quantized: QuantizedModel, images: Tensor
) -> None:
    """A weight that is not a number makes its layer the first, whatever is behind it."""
    node = quantized.nodes[index]
    assert isinstance(node, QuantizedConvolution)
    assert culprit(quantized, quantized, images) is None
    before = node.weight.detach().clone()
    try:
        with torch.no_grad():
            node.weight.view(-1)[0] = value
        assert culprit(quantized, quantized, images) == name
    finally:
        with torch.no_grad():
            node.weight.copy_(before)
    assert culprit(quantized, quantized, images) is None


def test_layers_in_full_precision(images: Tensor) -> None:
    """An overflow inside is named by the module's path, though all weights are finite."""
    model = nn.Sequential(nn.Conv2d(2, 2, 3), nn.Sequential(nn.ReLU(), nn.Conv2d(2, 2, 3)))
    with torch.no_grad():
        model[1][1].weight.fill_(3e38)
    assert culprit(model, lambda x: model(real_input(x)), images) == "1.1"


def spoil(layer: nn.Module, value: float) -> RemovableHandle:
    """Make what goes on from ``layer`` on the way back no number or infinite."""
    return layer.register_full_backward_hook(lambda _, given, __: (given[0] * value,))


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_gradients_of_quantized_layers(
    value: float, quantized: QuantizedModel, images: Tensor
) -> None:
    """Behind the batch norm of the second layer: that one, not the first one, and not the last."""
    node = next(each for each in quantized.nodes if each.name == "second")
    assert isinstance(node, QuantizedConvolution)
    assert isinstance(node.norm, nn.BatchNorm2d)
    quantized.zero_grad()
    quantized(images).square().sum().backward()
    assert math.isfinite(largest_gradient(quantized))
    assert gradient_culprit(quantized, quantized, images) is None
    hook = spoil(node.norm, value)
    try:
        quantized.zero_grad()
        quantized(images).square().sum().backward()
        assert not math.isfinite(largest_gradient(quantized))
        assert not math.isfinite(float(quantized.nodes[0].weight.grad.sum()))
        assert gradient_culprit(quantized, quantized, images) == "second"
    finally:
        hook.remove()
        quantized.zero_grad()


class Backwards(nn.Module):
    """Layers that are made in another order than they run."""

    def __init__(self) -> None:
        super().__init__()
        self.third = nn.Conv2d(2, 2, 1)
        self.second = nn.Conv2d(2, 2, 1)
        self.first = nn.Conv2d(2, 2, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Return the sums of all layers."""
        return self.third(self.second(self.first(x)))


@pytest.mark.parametrize(("name", "found"), [("third", "second"), ("second", "first")])
def test_gradients_in_full_precision(name: str, found: str, images: Tensor) -> None:
    """The order is that of the run: what a layer hands on wrong is the one's before it."""
    model = Backwards()
    spoil(getattr(model, name), math.nan)

    def forward(x: Tensor) -> Tensor:
        return model(real_input(x))

    forward(images).sum().backward()
    assert gradient_culprit(model, forward, images) == found


def test_largest_gradient() -> None:
    """The magnitude, whose square would overflow; what has no gradient does not count."""
    model = nn.Linear(2, 2)
    assert largest_gradient(model) == 0
    model.weight.grad = torch.tensor([[1.0, -1e30], [2.0, 3.0]])
    assert largest_gradient(model) == float(torch.tensor(1e30))
    model.bias.grad = torch.tensor([0.0, math.nan])
    assert math.isnan(largest_gradient(model))


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    """An epoch of each stage."""
    quick = load_recipe("digits_quick")
    return replace(
        quick,
        pretrain=replace(quick.pretrain, epochs=1),
        finetune=replace(quick.finetune, epochs=1),
        exact=ExactTuning(epochs=1, learning_rate=3e-4),
    )


@pytest.mark.parametrize("stage", ["pretrain", "finetune", "exact"])
def test_refuses_a_gradient_that_is_not_finite(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    """The layer where it begins on the way back is named, the last one, before a weight moves."""
    spoilt: list[tuple[nn.Parameter, Tensor]] = []

    def spoil(model: nn.Module, **rest: bool) -> nn.Module:
        kinds = {"pretrain": Digits, "finetune": QuantizedModel, "exact": ExactModel}
        if isinstance(model, kinds[stage]):
            inner = model.model if isinstance(model, ExactModel) else model
            layers = {node.name: node for node in getattr(inner, "nodes", ())}
            for name in ("conv3", "conv1", "conv2"):
                weight = (layers[name] if layers else getattr(inner, name)).weight
                weight.register_hook(lambda gradient: gradient * math.nan)
                spoilt.append((weight, weight.detach().clone()))
        return wrap(model, **rest)

    monkeypatch.setattr("tritone.qat.train.wrap", spoil)
    message = (
        rf"^Gradient must be finite, not nan, in epoch 1 of {stage}: it went wrong in layer conv3; "
        r"a lower learning rate may help$"
    )
    with pytest.raises(ValueError, match=message):
        train(recipe, tmp_path, console=QUIET)
    assert len(spoilt) == 3
    assert all(torch.equal(weight, before) for weight, before in spoilt)


@pytest.mark.parametrize("stage", ["finetune", "exact"])
def test_refuses_a_weight_that_is_not_a_number(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    """It is told of its layer, also where the integers of the frozen network do not exist."""

    def spoil(model: nn.Module, **rest: bool) -> nn.Module:
        inner = model.model if isinstance(model, ExactModel) else model
        if isinstance(model, {"finetune": QuantizedModel, "exact": ExactModel}[stage]):
            with torch.no_grad():
                next(each for each in inner.nodes if each.name == "conv2").weight[0] = math.nan
        return wrap(model, **rest)

    monkeypatch.setattr("tritone.qat.train.wrap", spoil)
    message = (
        rf"^Loss must be finite, not .*, in epoch 1 of {stage}: it went wrong in layer conv2; "
    )
    with pytest.raises(ValueError, match=message):
        train(recipe, tmp_path, console=QUIET)
