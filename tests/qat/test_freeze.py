# SPDX-License-Identifier: Apache-2.0
"""Freezing."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from math import ceil, log2

import pytest
import torch
from torch import Tensor, nn

from tritone.qat import freeze as freezing
from tritone.qat.convert import convert
from tritone.qat.freeze import LOGIT_HEADROOM, freeze
from tritone.qat.frozen import FrozenConvolution, FrozenModel
from tritone.qat.modules import QuantizedConvolution, QuantizedModel
from tritone.qat.precision import Multipliers, Precision
from tritone.spec.catalog import codebook


def test_relu_is_the_low_clamp(frozen: FrozenModel) -> None:
    """low is z with ReLU, 0 on a signed tensor; logits have 16 signed bits and z = 0."""
    limits = {node.name: (node.low, node.high) for node in frozen.nodes if hasattr(node, "low")}
    assert limits["second"] == (0, 255)
    assert limits["first"] == (0, 255)
    assert limits["logits"] == (-(2**15), 2**15 - 1)
    assert frozen.tensors["logits"].wide
    assert frozen.tensors["first"].zero == 128
    assert frozen.tensors["second"].zero == 0


def test_logits_have_headroom(
    quantized: QuantizedModel, frozen: FrozenModel, images: Tensor
) -> None:
    """The largest real logit of the images takes 1/headroom of the range; no code is clamped."""
    with torch.no_grad():
        real = quantized(images)
    step = frozen.tensors["logits"].step
    wanted = LOGIT_HEADROOM * float(real.abs().max()) / (2**15 - 1)
    if quantized.nodes[0].half_octaves:
        wanted = 2.0 ** ceil(log2(wanted))
    assert step == wanted
    codes = frozen(images)
    assert int(codes.abs().max()) < 2**15 - 1


def test_the_step_of_the_logits_is_that_of_a_sorted_set(
    quantized: QuantizedModel, images: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of the images are looked at, and those with large logits are the last ones."""
    monkeypatch.setattr(freezing, "LOGIT_IMAGES", len(images) // 2)
    with torch.no_grad():
        sizes = quantized(images).abs().amax(1)
    first = sizes.argsort()
    largest = freezing.largest_logit(quantized, images[first])
    # Far in the tail of what 20 of 40 images have in common with the 20 smallest ones.
    assert largest > float(sizes[first[: len(images) * 3 // 4]].max())


def test_freezing_leaves_the_mode(quantized: QuantizedModel, images: Tensor) -> None:
    """A model in training stays in training; the statistics of its norms stay."""
    before = {key: value.clone() for key, value in quantized.state_dict().items()}
    quantized.train()
    freeze(quantized, images)
    assert quantized.training
    quantized.eval()
    assert all(torch.equal(value, before[key]) for key, value in quantized.state_dict().items())


def test_refuses_logits_that_are_all_zero() -> None:
    """Their step would be 0."""
    linear = nn.Linear(4, 2)
    nn.init.zeros_(linear.weight)
    nn.init.zeros_(linear.bias)
    model = convert(
        nn.Sequential(nn.Flatten(), linear), (1, 2, 2), Precision(weights="post4", act_bits=4)
    )
    message = r"^Logits must not all be 0 on the training set; train the model first$"
    with pytest.raises(ValueError, match=message):
        freeze(model, torch.zeros(1, 1, 2, 2, dtype=torch.uint8))


def test_half_octaves(mixed_even: nn.Module, images: Tensor) -> None:
    """Channels have k, near the multiplier of the unrestricted network; negative slopes negate
    the weights; the image of the float model keeps its classes, since only the weights' scales have
    moved, by a quarter octave at most."""
    integer = Precision(weights="int5", act_bits=8)
    models = [
        convert(mixed_even, (2, 9, 9), replace(integer, multipliers=multipliers))
        for multipliers in Multipliers
    ]
    for model in models:
        model.train()
        for batch in images.repeat(8, 1, 1, 1).split(40):
            model(batch)
        model.eval()
    plain, half = (freeze(model, images) for model in models)
    distances = []
    for node, other, layer in zip(plain.nodes, half.nodes, models[1].nodes, strict=True):
        if not isinstance(node, FrozenConvolution):
            continue
        assert isinstance(other, FrozenConvolution)
        assert isinstance(layer, QuantizedConvolution)
        assert node.half_octaves is None
        assert other.half_octaves is not None
        assert set(other.multiplier.tolist()) == {1}
        assert other.shift == 0
        real = node.multiplier.abs() / 2.0**node.shift
        distances += (-2 * real.log2() - other.half_octaves).abs().tolist()
        codes = layer.weight_quantizer.codes(
            layer.weight, layer.gain(half.tensors[layer.input].step)
        )
        levels = [level and level.even for level in layer.weight_quantizer.book.levels]
        for channel, negative in enumerate((node.multiplier < 0).tolist()):
            own = [levels[code] for code in other.codes[channel].flatten()]
            trained = [levels[code] for code in codes[channel].flatten()]
            assert own == [-level if negative else level for level in trained]
    assert len(distances) == 5 + 6 + 4 + 7 + 3
    # Half a step of k, and what the steps of the two trainings differ by.
    assert sorted(distances)[len(distances) // 2] < 0.5
    logits = half.tensors["logits"]
    assert Fraction(logits.step).numerator == 1 or Fraction(logits.step).denominator == 1
    changed = [
        (each(images).argmax(1) != model(images).argmax(1)).sum()
        for each, model in zip((plain, half), models, strict=True)
    ]
    assert max(changed) <= 2


def test_half_octaves_are_trained_with(mixed_even: nn.Module, images: Tensor) -> None:
    """The weights that training multiplies by are those of the frozen layer."""
    model = convert(
        mixed_even,
        (2, 9, 9),
        Precision(weights="post4", act_bits=4, multipliers=Multipliers.HALF_OCTAVE),
    )
    layer = model.nodes[0]
    assert isinstance(layer, QuantizedConvolution)
    assert layer.gain(1 / 64) is None, "the output has no step yet"
    model.train()
    model(images)
    for _ in range(3):
        model(images)
    frozen = freeze(model.eval(), images)
    book = codebook("post4")
    scaled = torch.tensor([level.scaled if level else 0 for level in book.levels])
    compared = 0
    for node, integer in zip(model.nodes, frozen.nodes, strict=True):
        if not isinstance(node, QuantizedConvolution) or node.weight_quantizer.book is not book:
            continue
        assert isinstance(integer, FrozenConvolution)
        step = frozen.tensors[node.input].step
        weights = node.weight_quantizer(node.weight, node.gain(step)).detach()
        scales = node.weight_quantizer.scales(node.weight, node.gain(step))
        if node.norm is not None:
            scales = scales * node.norm.weight.detach().sign()
        levels = scaled[integer.codes.long()].double() / (8 << 7)
        assert torch.equal(weights, levels.float() * scales.view(-1, 1, 1, 1))
        compared += 1
    assert compared == 3


def test_steps_of_shortcuts_are_powers_of_two_apart(
    half_branching: QuantizedModel, frozen_half_branching: FrozenModel
) -> None:
    """Steps that training has restricted are those of the exported tensors, within half an octave
    of what is learnt; nothing else is restricted."""
    ties = 0
    for node in half_branching.nodes:
        if not isinstance(node, QuantizedConvolution) or node.output_quantizer is None:
            continue
        step, learnt = frozen_half_branching.tensors[node.output].step, node.output_quantizer.step
        if node.shortcut is None:
            assert step == learnt
            continue
        beside = frozen_half_branching.tensors[node.shortcut.tensor].step
        ratio = Fraction(step) / Fraction(beside)
        assert 1 in (ratio.numerator, ratio.denominator)
        assert log2(ratio) == int(log2(ratio))
        assert abs(log2(step / learnt)) <= 0.5
        ties += 1
    assert ties == 4


def test_refuses_averages_that_need_a_multiplier(mixed: nn.Module) -> None:
    """Before training starts."""
    message = (
        r"^Layer mean must average a power of two of pixels with half_octave multipliers, not 9: "
        r"pool another window, or train with multipliers = integer$"
    )
    precision = Precision(weights="post4", act_bits=4, multipliers=Multipliers.HALF_OCTAVE)
    with pytest.raises(ValueError, match=message):
        convert(mixed, (2, 9, 9), precision)
