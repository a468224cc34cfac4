# SPDX-License-Identifier: Apache-2.0
"""What estimators are given in the course of training."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from tritone.qat.convert import convert
from tritone.qat.estimators import Blending, ElementwiseScaling, EstimatorKind
from tritone.qat.method import Method, WeightMethod
from tritone.qat.modules import QuantizedConvolution, QuantizedModel
from tritone.qat.precision import Precision
from tritone.qat.schedules import (
    BlendingSchedule,
    DeltaSchedule,
    Ramp,
    hold_blended_weights,
    set_blend,
    set_delta,
)

SHAPE = (2, 9, 9)  # of the network that the fixture mixed makes


def build(mixed: nn.Module, kind: EstimatorKind) -> QuantizedModel:
    """Return the quantised network with that estimator in its middle layers."""
    method = Method(weights=WeightMethod(estimator=kind))
    return convert(mixed, SHAPE, Precision(weights="post4", act_bits=4), method)


@pytest.mark.parametrize(
    ("ramp", "half"), [(Ramp.CUBIC, 7 / 8), (Ramp.LINEAR, 1 / 2), (Ramp.COSINE, 1 / 2)]
)
def test_ramps(ramp: Ramp, half: float) -> None:
    """0 up to the start, 1 from the end on, and the value in the middle by hand."""
    schedule = BlendingSchedule(ramp=ramp, start=0.25, end=0.75)
    assert [schedule.value(x) for x in (0, 0.25, 0.75, 1)] == [0, 0, 1, 1]
    assert abs(schedule.value(0.5) - half) < 1e-15
    values = [schedule.value(x / 100) for x in range(26, 75)]
    assert values == sorted(set(values))


def test_cosine_ramp_is_slow_at_its_ends() -> None:
    """A quarter of the way it is at (1 - cos(pi/4)) / 2, the cubic one at 1 - 27/64."""
    times = {"start": 0.0, "end": 1.0}
    quarter = BlendingSchedule(ramp=Ramp.COSINE, **times).value(0.25)
    assert abs(quarter - (1 - math.sqrt(0.5)) / 2) < 1e-15
    assert BlendingSchedule(ramp=Ramp.CUBIC, **times).value(0.25) == 1 - 27 / 64


@pytest.mark.parametrize(("start", "end"), [(-0.1, 0.5), (0.5, 0.5), (0.2, 1.1)])
def test_refuses_times(start: float, end: float) -> None:
    """They are parts of the training, in order."""
    with pytest.raises(ValueError, match=r"^Recipe blending must have 0 <= start < end <= 1, not"):
        BlendingSchedule(start=start, end=end)


@pytest.mark.parametrize("key", ["interval", "batches", "batch", "probes"])
def test_refuses_numbers(key: str) -> None:
    """Counts are positive, delta is not negative."""
    with pytest.raises(ValueError, match=rf"^Recipe ewgs {key} must be positive, not 0$"):
        DeltaSchedule(**{key: 0})
    with pytest.raises(ValueError, match=r"^Recipe ewgs delta must not be negative, not -1\.0$"):
        DeltaSchedule(delta=-1.0)


def test_blend_and_delta_reach_the_middle_layers(mixed: nn.Module) -> None:
    """Edges keep the straight-through estimator; what changes nothing says so."""
    blended = build(mixed, EstimatorKind.BLENDING)
    assert set_blend(blended, 0.25)
    assert not set_blend(blended, 0.25)
    blends = [module.blend.item() for module in blended.modules() if isinstance(module, Blending)]
    assert blends == [0.25] * 3
    assert not set_blend(build(mixed, EstimatorKind.STE), 0.25)
    scaled = build(mixed, EstimatorKind.EWGS)
    set_delta(scaled, 0.5)
    deltas = [m.delta.item() for m in scaled.modules() if isinstance(m, ElementwiseScaling)]
    assert deltas == [0.5] * 3


def middle_weights(model: QuantizedModel) -> list[Tensor]:
    """Return the weights that are blended."""
    return [
        node.weight
        for node in model.nodes
        if isinstance(node, QuantizedConvolution)
        and isinstance(node.weight_quantizer.estimator, Blending)
    ]


@pytest.mark.parametrize("blend", [0.5, 1.0])
def test_blended_weights_are_held_at_the_end(
    mixed: nn.Module, images: Tensor, blend: float
) -> None:
    """With blend = 1 neither gradient nor weight decay nor momentum moves them; the rest learns."""
    model = build(mixed, EstimatorKind.BLENDING)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1)

    def step() -> None:
        optimizer.zero_grad()
        model(images).square().mean().backward()
        hold_blended_weights(model, optimizer)
        optimizer.step()

    set_blend(model, 0.25)
    step()
    set_blend(model, blend)
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    step()
    step()
    held = [f"nodes.{i}.weight" for i, node in enumerate(model.nodes) if hasattr(node, "weight")]
    edges = {held[0], held[-1]}
    for name, value in model.named_parameters():
        still = torch.equal(value, before[name])
        assert still == (blend == 1 and name in held and name not in edges), name
    momentum = [weight in optimizer.state for weight in middle_weights(model)]
    assert momentum == [blend < 1] * 3
