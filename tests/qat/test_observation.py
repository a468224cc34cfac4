# SPDX-License-Identifier: Apache-2.0
"""Observations, against what is counted by hand."""

from __future__ import annotations

import copy
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from branches import SHAPE, random_images
from rich.console import Console
from torch import Tensor, nn

from tritone.graph import Convolution
from tritone.qat import observation
from tritone.qat.activation_method import ActivationKind, ActivationMethod
from tritone.qat.convert import convert
from tritone.qat.export import export
from tritone.qat.freeze import freeze
from tritone.qat.history import CodeUse
from tritone.qat.method import Method
from tritone.qat.models.digits import Digits
from tritone.qat.modules import QuantizedModel
from tritone.qat.observation import observe
from tritone.qat.parallel import wrap
from tritone.qat.precision import Multipliers, Precision
from tritone.qat.recipe import load_recipe
from tritone.qat.train import train
from tritone.spec.catalog import codebook


@pytest.fixture
def images() -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (16, 1, 8, 8), generator=generator).to(torch.uint8)


def trained(images: Tensor, kind: ActivationKind) -> QuantizedModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        precision = Precision(weights="post4", act_bits=4)
        method = Method(activations=ActivationMethod(quantizer=kind))
        model = convert(Digits(1, 10), (1, 8, 8), precision, method)
    model.train()(images)
    return model


def test_clip_rates(images: Tensor) -> None:
    """The part of a tensor's codes above the highest level, 15 * 2**4."""
    model = trained(images, ActivationKind.LSQ)
    with torch.no_grad():
        model.nodes[0].output_quantizer.grid_step *= 0.25  # so that a part is clipped
    made = []
    hook = model.nodes[0].register_forward_hook(lambda *passed: made.append(passed[2].codes))
    seen = observe(model, images)
    hook.remove()
    # Above the level by less than half a code they still have the code 240.
    least, most = (float((made[0] > limit).float().mean()) for limit in (240, 239))
    assert least <= seen.clipped["conv1"] <= most
    assert 0 < seen.clipped["conv1"] < 0.5
    assert set(seen.clipped) == {"conv1", "conv2", "conv3"}
    assert (seen.betas, seen.dead) == ({}, [])


def test_clip_rates_of_a_shared_quantiser(joining: QuantizedModel) -> None:
    """Each tensor has its own: here one part is far larger than the others."""
    model = copy.deepcopy(joining)
    nodes = {node.name: node for node in model.nodes}
    with torch.no_grad():
        nodes["right"].norm.weight.mul_(0).add_(1e-3)
        nodes["right"].norm.bias.fill_(1e3)
    seen = observe(model, random_images(8, SHAPE, 1))
    assert set(seen.clipped) == {"first", "middle", "left", "right", "mixed", "hidden"}
    assert seen.clipped["right"] == 1.0
    assert max(seen.clipped["left"], seen.clipped["middle"]) < 0.5


def test_weight_codes(images: Tensor) -> None:
    """A channel far above the levels has the highest one, the others the lowest one."""
    model = trained(images, ActivationKind.LSQ)
    layer = next(each for each in model.nodes if each.name == "conv2")
    with torch.no_grad():
        layer.weight.fill_(-1e3)[3] = 1e3
    seen = observe(model, images)
    assert set(seen.weights) == {"conv1", "conv2", "conv3", "linear"}
    assert (seen.weights["conv1"].codebook, len(seen.weights["conv1"].times)) == ("int8", 256)
    use = seen.weights["conv2"]
    book = codebook(use.codebook)
    found = {book.value(code): times for code, times in enumerate(use.times) if times}
    channels, size = len(layer.weight), layer.weight[0].numel()
    assert found == {1.0: size, -1.0: (channels - 1) * size}


@pytest.mark.parametrize("multipliers", Multipliers)
def test_weight_codes_are_those_that_are_exported(images: Tensor, multipliers: Multipliers) -> None:
    """Also where half octaves move the scales."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        precision = Precision(weights="post4", act_bits=4, multipliers=multipliers)
        model = convert(Digits(1, 10), (1, 8, 8), precision, Method())
    model.train()(images)
    seen = observe(model, images)
    network = export(freeze(model, images), "digits")
    exported = {}
    for node in network.nodes:
        if isinstance(node, Convolution):
            codes = range(1 << codebook(node.codebook).bits)
            times = [int((node.codes == code).sum()) for code in codes]
            exported[node.name] = CodeUse(codebook=node.codebook, times=times)
    assert seen.weights == exported


def test_some_images_of_a_sorted_set_are_seen(
    images: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many as are asked for, and not the first ones."""
    monkeypatch.setattr(observation, "OBSERVED_IMAGES", 8)
    model = trained(images, ActivationKind.LSQ)
    seen: list[Tensor] = []
    hook = model.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    observation.observe(model, images)
    hook.remove()
    places = [int((images == image).flatten(1).all(1).nonzero()) for image in seen[0]]
    assert len(set(places)) == 8
    assert sorted(places) != list(range(8))


def test_the_model_is_left_as_it_was(images: Tensor) -> None:
    """Its mode and its statistics."""
    model = trained(images, ActivationKind.ASQ)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    observe(model, images)
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_betas_and_dead_adapters(images: Tensor) -> None:
    """Lowest, quartiles and highest of the images; a dead adapter gives 1/2 and is named."""
    model = trained(images, ActivationKind.ASQ)
    adapter = model.nodes[0].output_quantizer.adapter
    betas = []
    hook = adapter.register_forward_hook(lambda *passed: betas.append(passed[2]))
    seen = observe(model, images)
    hook.remove()
    expected = np.quantile(betas[0].numpy().reshape(-1), [0, 0.25, 0.5, 0.75, 1])
    # Both interpolate between float32 near 1.
    assert seen.betas["conv1"] == pytest.approx(expected.tolist(), abs=2**-22)
    assert seen.dead == []
    with torch.no_grad():
        adapter.last.bias.fill_(-9.0)
    seen = observe(model, images)
    assert seen.betas["conv1"] == [0.5] * 5
    assert (seen.dead, seen.constant) == (["conv1"], [])
    with torch.no_grad():
        adapter.last.bias.fill_(1.5)
        adapter.hidden.bias.fill_(-1e3)
    seen = observe(model, images)
    assert seen.betas["conv1"] == [1.5] * 5
    assert (seen.dead, seen.constant) == ([], ["conv1"])


@pytest.mark.parametrize(("stream_bits", "beta"), [(8, "0.5"), (12, "0.25")])
def test_dead_adapters_are_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stream_bits: int, beta: str
) -> None:
    """A line above the bar after every epoch of a training, with the smallest beta of the codes."""

    def kill(model: nn.Module, **rest: bool) -> nn.Module:
        if isinstance(model, QuantizedModel):
            node = next(each for each in model.nodes if each.name == "conv2")
            with torch.no_grad():
                node.output_quantizer.adapter.last.bias.fill_(-9.0)
        return wrap(model, **rest)

    monkeypatch.setattr("tritone.qat.train.wrap", kill)
    recipe = load_recipe("digits_quick")
    activations = replace(recipe.activations, quantizer=ActivationKind.ASQ, stream_bits=stream_bits)
    quick = replace(
        recipe,
        pretrain=replace(recipe.pretrain, epochs=1),
        finetune=replace(recipe.finetune, epochs=2),
        exact=None,
        activations=activations,
    )
    shown = io.StringIO()
    train(quick, tmp_path, console=Console(file=shown, width=80))
    line = (
        f"warning: the adapter of conv2 is dead: beta is {beta} for every image and learns nothing "
        "more; a lower learning rate may help"
    )
    assert [each for each in shown.getvalue().splitlines() if "adapter" in each] == [line] * 2
