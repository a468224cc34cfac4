# SPDX-License-Identifier: Apache-2.0
"""Optimisers."""

from __future__ import annotations

import pytest
import torch

from tritone.qat.activation_method import ActivationKind, ActivationMethod
from tritone.qat.convert import convert
from tritone.qat.method import Method
from tritone.qat.models.digits import Digits
from tritone.qat.optimizers import build_optimizer, learning_rate_factor, set_progress
from tritone.qat.precision import Precision
from tritone.qat.recipe import Finetuning, Optimizer, Pretraining, Schedule

FINETUNE = Finetuning(epochs=1, learning_rate=0.5, quantizer_learning_rate=0.25, weight_decay=0.125)


@pytest.mark.parametrize(
    ("rule", "kind"),
    [(Optimizer.SGD, torch.optim.SGD), (Optimizer.ADAMW, torch.optim.AdamW)],
)
def test_groups(rule: Optimizer, kind: type) -> None:
    """Weights decay; norms, biases and quantisers do not; quantisers have their own rate."""
    model = convert(Digits(1, 10), (1, 8, 8), Precision(weights="post4", act_bits=4))
    optimizer = build_optimizer(rule, model, FINETUNE)
    assert type(optimizer) is kind
    names = {parameter: name for name, parameter in model.named_parameters()}
    groups = [
        ({names[p] for p in group["params"]}, group["lr"], group["weight_decay"])
        for group in optimizer.param_groups
    ]
    alphas = {f"nodes.{i}.weight_quantizer.scale.alpha" for i in (0, 1, 2, 5)}
    steps = {f"nodes.{i}.output_quantizer.grid_step" for i in (0, 1, 2)}
    assert groups[0] == ({f"nodes.{i}.weight" for i in (0, 1, 2, 5)}, 0.5, 0.125)
    assert groups[2] == (alphas | steps, 0.25, 0.0)
    assert groups[1][1:] == (0.5, 0.0)
    assert set.union(*(group[0] for group in groups)) == set(names.values())


def test_activations_may_decay() -> None:
    """PACT's alpha has a group of its own then; an adapter's weights decay like a layer's."""
    activations = ActivationMethod(quantizer=ActivationKind.ASQ)
    model = convert(
        Digits(1, 10),
        (1, 8, 8),
        Precision(weights="post4", act_bits=4),
        Method(activations=activations),
    )
    optimizer = build_optimizer(Optimizer.SGD, model, FINETUNE, 0.0625)
    names = {parameter: name for name, parameter in model.named_parameters()}
    groups = [
        ({names[p] for p in each["params"]}, each["weight_decay"])
        for each in optimizer.param_groups
    ]
    steps = {name for name in names.values() if name.endswith("grid_step")}
    assert len(steps) == 5  # of three tensors and two hidden layers
    assert groups[3] == (steps, 0.0625)
    adapter = "nodes.1.output_quantizer.adapter.hidden"
    assert f"{adapter}.weight" in groups[0][0]
    assert f"{adapter}.bias" in groups[1][0]
    assert f"{adapter}.weight_quantizer.scale.alpha" in groups[2][0]
    assert set.union(*(group[0] for group in groups)) == set(names.values())


def test_pretraining_has_no_quantizers() -> None:
    """Two groups only."""
    optimizer = build_optimizer(
        Optimizer.SGD, Digits(1, 10), Pretraining(epochs=1, learning_rate=0.5)
    )
    assert len(optimizer.param_groups) == 2


def test_cosine() -> None:
    """From 1 over 1/2 to 0; half up to the rounding of cos(pi/2), below 1e-16."""
    assert learning_rate_factor(Schedule.COSINE, 0) == 1
    assert abs(learning_rate_factor(Schedule.COSINE, 0.5) - 0.5) < 1e-16
    assert learning_rate_factor(Schedule.COSINE, 1) == 0


def test_one_cycle_is_that_of_torch() -> None:
    """The same rates as torch.optim.lr_scheduler.OneCycleLR, which counts in whole steps.

    Its phases end at steps 0.3 * 100 - 1 and 99; ours are the same curves over 0..0.3..1. Both
    evaluate the same cosine in float64, up to the rounding of its argument.
    """
    steps = 100
    parameter = torch.nn.Parameter(torch.zeros(1))
    theirs = torch.optim.SGD([parameter], lr=1.0)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(
        theirs, max_lr=1.0, total_steps=steps, cycle_momentum=False
    )
    rise = 0.3 * steps - 1
    for step in range(steps):
        if step <= rise:
            progress = 0.3 * step / rise
        else:
            progress = 0.3 + 0.7 * (step - rise) / (steps - 1 - rise)
        ours = learning_rate_factor(Schedule.ONE_CYCLE, progress)
        assert abs(ours - theirs.param_groups[0]["lr"]) < 1e-12
        theirs.step()
        scheduler.step()


def test_progress_scales_every_group() -> None:
    """Each group keeps its own start, whatever was set before."""
    model = convert(Digits(1, 10), (1, 8, 8), Precision(weights="post4", act_bits=4))
    optimizer = build_optimizer(Optimizer.SGD, model, FINETUNE)
    for progress in (1.0, 0.25):
        set_progress(optimizer, Schedule.COSINE, progress)
    rates = [group["lr"] for group in optimizer.param_groups]
    assert rates == [
        start * learning_rate_factor(Schedule.COSINE, 0.25) for start in (0.5, 0.5, 0.25)
    ]
