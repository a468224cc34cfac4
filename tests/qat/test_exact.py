# SPDX-License-Identifier: Apache-2.0
"""Training on the integers: every tensor is the frozen one, and only weights and biases learn."""

from __future__ import annotations

import copy

import pytest
import torch
from branches import EVEN_SHAPE, SHAPE, Branches, random_images
from joins import Joins
from torch import Tensor, nn

from tritone.golden import layers
from tritone.qat.activation_method import ActivationKind, ActivationMethod, Dequantize
from tritone.qat.convert import convert
from tritone.qat.estimators import EstimatorKind
from tritone.qat.exact import ExactModel
from tritone.qat.export import export
from tritone.qat.freeze import freeze
from tritone.qat.method import Method, WeightMethod
from tritone.qat.modules import QuantizedModel
from tritone.qat.precision import Precision

POST = Precision(weights="post4", act_bits=4)


def start(model: QuantizedModel, images: Tensor) -> ExactModel:
    exact = ExactModel(copy.deepcopy(model))
    exact.start(images)
    return exact.train()


def train(model: ExactModel, images: Tensor, steps: int = 3) -> None:
    """Move what learns, far enough that codes change."""
    labels = torch.arange(len(images)) % 3
    parameters = [each for each in model.parameters() if each.requires_grad]
    optimizer = torch.optim.SGD(parameters, lr=0.02, momentum=0.9)
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()


def require_equal(model: ExactModel, images: Tensor) -> None:
    """Compare every tensor with the frozen model and with the golden one."""
    found = model.streams(images)
    frozen = model.freeze()
    golden = layers.run(export(frozen, "exact"), images.numpy())
    wanted = frozen.evaluate(images).tensors
    assert set(found) == set(wanted) == set(golden)
    for name, values in wanted.items():
        assert torch.equal(found[name].detach().double(), values.double()), name
        assert (values.numpy() == golden[name]).all(), name
    step = frozen.tensors["logits"].step
    assert torch.equal(model(images), wanted["logits"].flatten(1).float() * step)


def test_streams_are_the_frozen_ones(quantized: QuantizedModel, images: Tensor) -> None:
    """With signed tensors, padded pools and every kind of codebook, before and after training."""
    shape = images.shape[1:]
    model = start(quantized, images)
    first = model.freeze()
    require_equal(model, images)
    train(model, random_images(40, shape, 6))
    require_equal(model, images)
    assert any(
        not torch.equal(a.codes, b.codes)
        for a, b in zip(first.nodes, model.freeze().nodes, strict=True)
        if hasattr(a, "codes")
    )


def test_shortcuts_are_the_frozen_ones(branching: QuantizedModel, images: Tensor) -> None:
    """Strided and padded, signed, and grouped convolutions."""
    model = start(branching, images)
    train(model, images)
    require_equal(model, images)


def test_concatenations_are_the_frozen_ones(joining: QuantizedModel, images: Tensor) -> None:
    """Parts with one quantiser; gradients of the parts as in training."""
    _same_direction(joining, images)
    model = start(joining, images)
    train(model, images)
    require_equal(model, images)


def test_half_octaves_are_the_frozen_ones(
    half_branching: QuantizedModel, even_images: Tensor
) -> None:
    """A shift of each channel's own, and rails that change places."""
    model = start(half_branching, even_images)
    assert even_images.shape[1:] == EVEN_SHAPE
    train(model, even_images)
    require_equal(model, even_images)


@pytest.mark.parametrize(
    ("kind", "width"), [(Branches, 8), (Branches, 12), (Joins, 12)], ids=["8", "12", "12 joined"]
)
@pytest.mark.parametrize("rule", Dequantize)
def test_adaptive_steps_are_the_frozen_ones(
    rule: Dequantize, kind: type[nn.Module], width: int, images: Tensor
) -> None:
    """Adapters are layers like others, and learn."""
    activations = ActivationMethod(quantizer=ActivationKind.ASQ, dequantize=rule, stream_bits=width)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        quantized = convert(kind(), SHAPE, POST, Method(activations=activations))
    quantized.train()
    for seed in range(20, 23):
        quantized(random_images(64, SHAPE, seed))
    model = start(quantized, images)
    before = copy.deepcopy(model.state_dict())
    train(model, images)
    require_equal(model, images)
    assert {
        tensor.stream_bits
        for name, tensor in model.freeze().tensors.items()
        if not tensor.wide and name != "input"
    } == {width}
    adapters = [name for name in before if "adapter.last" in name and name.endswith("bias")]
    after = model.state_dict()
    assert any(not torch.equal(before[name], after[name]) for name in adapters)


def test_sums_beyond_float32(branching: QuantizedModel, images: Tensor) -> None:
    """Weights of 8 bits with sqrt 2 and inputs of 8 bits need float64, which is as exact."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        wide = nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Conv2d(4, 90, 3), nn.ReLU())
        wide.extend([nn.Conv2d(90, 2, 5)])
        precision = Precision(weights="post5", act_bits=8, edge_weights="twopost8", edge_act_bits=8)
        quantized = convert(wide, SHAPE, precision)
    quantized.train()
    quantized(images)
    model = start(quantized, images)
    frozen = model.freeze().nodes[-1]
    weights = frozen.scaled.gather(1, frozen.codes.flatten(1).long())
    assert int(weights.abs().sum(1).max()) * 255 >= 1 << 24
    found, wanted = model.streams(images), model.freeze().evaluate(images).tensors
    assert all(torch.equal(found[name].detach().double(), wanted[name].double()) for name in wanted)


def test_only_weights_and_biases_learn(branching: QuantizedModel, images: Tensor) -> None:
    """Scales, steps and statistics stay; multipliers stay with them."""
    model = start(branching, images)
    before, constants = copy.deepcopy(model.state_dict()), model.freeze()
    train(model, images)
    after = model.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    learnt = {name for name, each in model.named_parameters() if each.requires_grad}
    assert changed == learnt
    assert all(name.endswith((".weight", ".bias")) for name in learnt)
    assert not any(name.endswith("norm.weight") or "quantizer" in name for name in learnt)
    for a, b in zip(constants.nodes, model.freeze().nodes, strict=True):
        if hasattr(a, "codes"):
            # The scale is M / 2**S; S follows D where that gets large.
            assert torch.equal(a.multiplier * 2.0**-a.shift, b.multiplier * 2.0**-b.shift)
            assert a.shift == b.shift


def test_the_export_is_the_trained_model(branching: QuantizedModel, images: Tensor) -> None:
    """A frozen model of the weights and the step of the logits that were trained with."""
    model = start(branching, images)
    assert all(
        torch.equal(a.codes, b.codes) and torch.equal(a.offset, b.offset)
        for a, b in zip(model.freeze().nodes, freeze(branching, images).nodes, strict=True)
        if hasattr(a, "codes")
    )
    train(model, images)
    other = ExactModel(copy.deepcopy(branching))
    other.load_state_dict(model.state_dict())
    assert torch.equal(other(images), model(images))
    with torch.no_grad():
        assert not torch.equal(freeze(model.model, images)(images), model.freeze()(images))


def test_gradients_are_those_of_training(branching: QuantizedModel, images: Tensor) -> None:
    """Residual adds, groups, signed tensors."""
    _same_direction(branching, images)


def test_gradients_of_half_octaves(half_branching: QuantizedModel, even_images: Tensor) -> None:
    """Negated weights, where the slope of batch norm is negative, and turned rails."""
    model = copy.deepcopy(half_branching)
    with torch.no_grad():
        for node in model.nodes:
            if getattr(node, "norm", None) is not None:
                node.norm.weight[::2] *= -1
    _same_direction(model, even_images)
    require_equal(start(model, even_images), even_images)


def _same_direction(quantized: QuantizedModel, images: Tensor) -> None:
    """Compare with the fake-quantised model in evaluation, which rounds rare codes otherwise.

    The cosine of each tensor's gradients is above 0.9, and their lengths differ by a quarter at
    most: of a wrong sign, factor of a channel, or mask neither is true.
    """
    quantized = copy.deepcopy(quantized)
    labels = torch.arange(len(images)) % 3
    exact = start(quantized, images)
    nn.functional.cross_entropy(quantized(images), labels).backward()
    nn.functional.cross_entropy(exact(images), labels).backward()
    trained = dict(quantized.named_parameters())
    compared = 0
    for path, parameter in exact.model.named_parameters():
        if not parameter.requires_grad:
            continue
        ours, theirs = parameter.grad, trained[path].grad
        assert ours is not None
        assert theirs is not None
        cosine = nn.functional.cosine_similarity(ours.flatten(), theirs.flatten(), 0)
        ratio = ours.norm() / theirs.norm()
        assert float(cosine) > 0.9, path
        assert 0.8 < float(ratio) < 1.25, path
        compared += 1
    assert compared > 12


@pytest.mark.parametrize("kind", [EstimatorKind.BLENDING, EstimatorKind.NOISE])
def test_estimators_without_a_gradient_get_one(kind: EstimatorKind, images: Tensor) -> None:
    """Blended weights are constant at the end of their ramp; here they learn again."""
    method = Method(weights=WeightMethod(estimator=kind))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        quantized = convert(Branches(), SHAPE, POST, method)
    quantized.train()
    quantized(images)
    model = start(quantized, images)
    model(images).square().sum().backward()
    for path, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, path
            assert float(parameter.grad.norm()) > 0, path
    require_equal(model, images)
