# SPDX-License-Identifier: Apache-2.0
"""Freezing: M, D and S from real numbers."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from math import ceil, floor, log2

import pytest
import torch
from torch import Tensor, nn

from tritone.qat.convert import convert
from tritone.qat.freeze import (
    LOGIT_HEADROOM,
    freeze,
    requantizer_constants,
    shortcut_constants,
)
from tritone.qat.frozen import FrozenConvolution, FrozenModel
from tritone.qat.modules import QuantizedConvolution, QuantizedModel
from tritone.qat.precision import Multipliers, Precision


def rounded(value: Fraction) -> int:
    return floor(value + Fraction(1, 2))


@pytest.mark.parametrize("largest", [1e-9, 3.1e-5, 0.0017, 0.25, 0.9999847, 1.0, 3.0, 32767.4])
def test_constants_follow_the_definition(largest: float) -> None:
    """S is the largest in 0..40 with all |M| < 2**15; M and D are rounded half up, exactly."""
    gain = [largest, -largest / 3, largest / 1000, 0.0]
    bias = [0.3, -17.25, 0.0, 90.125]
    zero = 0 if largest < 1e-8 else 128  # D would not fit beside the largest S
    multiplier, offset, shift = requantizer_constants(
        "layer", torch.tensor(gain).double(), torch.tensor(bias).double(), zero
    )
    exact = [Fraction(float(x)) for x in torch.tensor(gain).double()]

    def fits(s: int) -> bool:
        return all(abs(rounded(m * 2**s)) < 2**15 for m in exact)

    assert fits(shift)
    assert shift == 40 or not fits(shift + 1)
    assert multiplier.tolist() == [rounded(m * 2**shift) for m in exact]
    exact_bias = [Fraction(float(x)) for x in torch.tensor(bias).double()]
    half = (1 << shift) >> 1
    assert offset.tolist() == [rounded((b + zero) * 2**shift) + half for b in exact_bias]


@pytest.mark.parametrize(
    ("gain", "bias", "message"),
    [
        (40000.0, 0.0, r"^Layer big must have M in 16 signed bits, not 4e\+04$"),
        (1e-12, 200.0, r"^Layer big must have D in 48 signed bits, not 2\.2e\+14$"),
    ],
)
def test_refuses_constants_that_do_not_fit(gain: float, bias: float, message: str) -> None:
    """The layer and the figure are named."""
    with pytest.raises(ValueError, match=message):
        requantizer_constants(
            "big", torch.tensor([gain]).double(), torch.tensor([bias]).double(), 0
        )


@pytest.mark.parametrize("shift", [0, 1, 14, 15, 16, 24, 40])
@pytest.mark.parametrize("ratio", [1e-7, 0.013, 0.5, 1.0, 1.99997, 31.9])
def test_shortcut_constants_follow_the_definition(ratio: float, shift: int) -> None:
    """K = round(ratio * 2**(S - t)) with the smallest t for which it has 16 signed bits."""
    multiplier, t = shortcut_constants("layer", ratio, shift)

    def factor(t: int) -> int:
        return rounded(Fraction(ratio) * Fraction(2) ** (shift - t))

    assert multiplier == factor(t) < 2**15
    assert t == 0 or factor(t - 1) >= 2**15


def test_refuses_a_shortcut_that_does_not_fit() -> None:
    """At S = 40 a shortcut may be 64 steps at most."""
    message = r"^Layer big must add a shortcut of at most 63 of its own steps, not 64$"
    with pytest.raises(ValueError, match=message):
        shortcut_constants("big", 64.0, 40)


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


def test_half_octaves(mixed: nn.Module, images: Tensor) -> None:
    """Every M is +-2**(k/2) * 2**S, sqrt 2 being 181/128, rounded; the image of the float model
    keeps its classes, since only the weights' scales have moved, by a quarter octave at most."""
    integer = Precision(weights="int5", act_bits=8)
    models = [
        convert(mixed, (2, 9, 9), replace(integer, multipliers=multipliers))
        for multipliers in Multipliers
    ]
    for model in models:
        model.train()
        for batch in images.repeat(8, 1, 1, 1).split(40):
            model(batch)
        model.eval()
    frozen = [freeze(model, images) for model in models]
    powers = [
        sign * Fraction(2) ** (k // 2) * (Fraction(181, 128) if k % 2 else 1)
        for k in range(-60, 60)
        for sign in (1, -1)
    ]
    restricted = []
    for each in frozen:
        constants = [
            (int(m), node.shift)
            for node in each.nodes
            if isinstance(node, FrozenConvolution)
            for m in node.multiplier
        ]
        restricted.append(
            [m in {rounded(power * 2**shift) for power in powers} for m, shift in constants]
        )
        assert len(constants) == 5 + 6 + 4 + 7 + 3
        assert sum(m < 0 for m, _ in constants) >= 2
    assert all(restricted[1])
    assert not any(restricted[0][:5])
    logits = frozen[1].tensors["logits"]
    assert Fraction(logits.step).numerator == 1 or Fraction(logits.step).denominator == 1
    changed = [(frozen[i](images).argmax(1) != models[i](images).argmax(1)).sum() for i in (0, 1)]
    assert max(changed) <= 2


def test_half_octaves_are_trained_with(mixed: nn.Module, images: Tensor) -> None:
    """The weights that training multiplies by are those of the frozen layer."""
    model = convert(
        mixed,
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
    for node, integer in zip(model.nodes, frozen.nodes, strict=True):
        if not isinstance(node, QuantizedConvolution):
            continue
        assert isinstance(integer, FrozenConvolution)
        step = frozen.tensors[node.input].step
        weights = node.weight_quantizer(node.weight, node.gain(step)).detach()
        scales = node.weight_quantizer.scales(node.weight, node.gain(step))
        levels = integer.scaled[integer.codes.long()].double() / (8 << 7)
        if node.weight_quantizer.book.name == "post4":
            assert torch.equal(weights, levels.float() * scales.view(-1, 1, 1, 1))
