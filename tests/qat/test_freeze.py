# SPDX-License-Identifier: Apache-2.0
"""Freezing: M, D and S from real numbers."""

from __future__ import annotations

from fractions import Fraction
from math import floor

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
from tritone.qat.frozen import FrozenModel
from tritone.qat.modules import QuantizedModel
from tritone.qat.precision import Precision


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
    assert step == LOGIT_HEADROOM * float(real.abs().max()) / (2**15 - 1)
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
