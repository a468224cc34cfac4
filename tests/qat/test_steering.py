# SPDX-License-Identifier: Apache-2.0
"""Fine-tunings with every estimator, whole and interrupted."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from rich.console import Console
from torch import Tensor

import tritone.qat.train as training
from tritone.qat import steering
from tritone.qat.estimators import EstimatorKind
from tritone.qat.history import read_history
from tritone.qat.method import WeightMethod
from tritone.qat.recipe import Optimizer, Recipe, load_recipe
from tritone.qat.scales import ScaleRule
from tritone.qat.schedules import BlendingSchedule, DeltaMode, DeltaSchedule

QUIET = Console(quiet=True)
EPOCHS = 4


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    """One epoch in full precision, some quantised ones."""
    quick = load_recipe("digits_quick")
    return replace(
        quick,
        optimizer=Optimizer.SGD,
        pretrain=replace(quick.pretrain, epochs=1, learning_rate=0.1),
        finetune=replace(
            quick.finetune, epochs=EPOCHS, learning_rate=0.02, quantizer_learning_rate=1e-3
        ),
    )


def of_kind(recipe: Recipe, kind: EstimatorKind) -> Recipe:
    """Return the recipe with that estimator, and schedules that do something in few epochs."""
    return replace(
        recipe,
        weights=WeightMethod(estimator=kind, scale=ScaleRule.LSQ),
        blending=BlendingSchedule(end=0.6),
        ewgs=DeltaSchedule(mode=DeltaMode.HESSIAN, interval=2, batches=1, batch=16, probes=2),
        finetune=replace(recipe.finetune, norm_batches=2),
    )


def checkpoint(run: Path, epoch: int) -> bytes:
    """Return the file behind that epoch of the fine-tuning."""
    return (run / f"checkpoint-finetune-{epoch:04}.safetensors").read_bytes()


def tensors(run: Path, ending: str) -> dict[str, Tensor]:
    """Return what the last checkpoint has under names with that ending."""
    found = safetensors.torch.load(checkpoint(run, EPOCHS))
    return {name: value for name, value in found.items() if name.endswith(ending)}


@pytest.mark.parametrize("kind", [k for k in EstimatorKind if k is not EstimatorKind.STE])
def test_interrupted_runs_resume_to_the_same_weights(
    kind: EstimatorKind, recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """alpha, delta and the state of the noise are in the checkpoint: the last bytes are equal."""
    changed = of_kind(recipe, kind)
    report = training.train(changed, tmp_path / "whole", console=QUIET)
    assert report["estimator"] == kind.value
    assert report["top1_quant"] > 30  # chance is 10
    kept: list[bytes] = []
    save = training.save_checkpoint

    def save_and_stop(run: Path, *values: Any) -> None:
        save(run, *values)
        kept.append(b"")
        # One epoch of pretraining; then two of the fine-tuning, and after a new start, three.
        if len(kept) in (3, 4):
            raise KeyboardInterrupt

    monkeypatch.setattr(training, "save_checkpoint", save_and_stop)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            training.train(changed, tmp_path / "parts", console=QUIET)
    training.train(changed, tmp_path / "parts", console=QUIET)
    assert len(kept) == 1 + EPOCHS
    assert checkpoint(tmp_path / "parts", EPOCHS) == checkpoint(tmp_path / "whole", EPOCHS)


def test_blended_weights_end_as_constants(recipe: Recipe, tmp_path: Path) -> None:
    """alpha ends at 1; from there on weights stay and scales and batch norm go on."""
    changed = of_kind(recipe, EstimatorKind.BLENDING)
    done: dict[int, dict[str, Tensor]] = {}
    save = training.save_checkpoint

    def keep(run: Path, progress: Any, model: Any, *values: Any) -> None:
        done[progress.epoch] = {k: v.detach().clone() for k, v in model.state_dict().items()}
        save(run, progress, model, *values)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "save_checkpoint", keep)
        training.train(changed, tmp_path, console=QUIET)
    history = [each.blend for each in read_history(tmp_path)]
    # Five of six steps are over before the last one of an epoch begins.
    expected = [1 - (1 - (epoch + 5 / 6) / EPOCHS / 0.6) ** 3 for epoch in range(2)]
    assert history[0] is None
    assert history[1:3] == pytest.approx(expected, rel=1e-6)
    assert history[3:] == [1, 1]
    blends = {k: v.item() for k, v in done[EPOCHS].items() if k.endswith(".blend")}
    assert blends
    assert set(blends.values()) == {1.0}
    for name in blends:
        layer = name.removesuffix(".weight_quantizer.estimator.blend")
        assert not torch.equal(done[1][f"{layer}.weight"], done[2][f"{layer}.weight"])
        assert torch.equal(done[3][f"{layer}.weight"], done[4][f"{layer}.weight"])
        for key in (f"{layer}.norm.weight", f"{layer}.weight_quantizer.scale.step"):
            assert not torch.equal(done[3][key], done[4][key])


@pytest.mark.parametrize("mode", DeltaMode)
def test_deltas(mode: DeltaMode, recipe: Recipe, tmp_path: Path) -> None:
    """A fixed delta is there from the start; the Hessian gives each tensor its own."""
    settings = of_kind(recipe, EstimatorKind.EWGS)
    changed = replace(settings, ewgs=replace(settings.ewgs, mode=mode, delta=0.125))
    training.train(changed, tmp_path, console=QUIET)
    named = tensors(tmp_path, "weight_quantizer.estimator.delta")
    deltas = [value.item() for value in named.values()]
    assert len(deltas) >= 2
    history = read_history(tmp_path)
    assert history[0].deltas == {}
    changes = [a.deltas != b.deltas for a, b in pairwise(history[1:])]
    # Every second epoch, the first one left out.
    assert changes == [False, mode is DeltaMode.HESSIAN, False]
    found = {f"model.{path}.delta": value for path, value in history[-1].deltas.items()}
    assert found == {name: value.item() for name, value in named.items()}
    if mode is DeltaMode.FIXED:
        assert set(deltas) == {0.125}
    else:
        assert min(deltas) >= 0
        assert len(set(deltas)) > 1


def test_norms_are_measured_over_some_batches(recipe: Recipe, tmp_path: Path) -> None:
    """The last checkpoint has the statistics of two batches and no others."""
    settings = of_kind(recipe, EstimatorKind.STE)
    training.train(settings, tmp_path, console=QUIET)
    counts = {value.item() for value in tensors(tmp_path, "num_batches_tracked").values()}
    assert counts == {2}


def test_norms_are_measured_over_what_training_sees(
    recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over batches of the training set, moved and mirrored; none if none are asked.

    Not over the first ones: these may be of one class.
    """
    measured: list[Tensor] = []
    monkeypatch.setattr(
        steering, "reestimate", lambda model, forward, batches: measured.extend(batches)
    )
    images = torch.arange(20, dtype=torch.uint8).view(10, 1, 1, 2)
    for count, expected in ((0, 0), (2, 6)):
        asked = replace(recipe, batch=3, finetune=replace(recipe.finetune, norm_batches=count))
        model: Any = torch.nn.Identity()
        steering.Steering(
            asked,
            model,
            torch.optim.SGD([torch.zeros(1)]),
            images,
            torch.zeros(10),
            lambda batch: batch.flip(3),
            torch.Generator(),
        ).after_training()
        assert sum(map(len, measured)) == expected
    assert [len(batch) for batch in measured] == [3, 3]
    # The images are counted: the left pixel of the k-th one is 2k.
    left = sorted(int(image[0, 0, 1]) for batch in measured for image in batch)
    assert len(set(left)) == 6
    assert set(left) <= set(range(0, 20, 2))
    assert left != list(range(0, 12, 2))


@pytest.mark.parametrize(("limit", "kept"), [(0.0, 1.0), (2.5, 0.5), (10.0, 1.0)])
def test_a_limit_of_the_gradients_scales_all_of_them(
    recipe: Recipe, limit: float, kept: float
) -> None:
    """Gradients of 3 and 4 have the norm 5 together; a larger limit, or none, leaves them."""
    model: Any = torch.nn.Linear(1, 1)
    model.weight.grad, model.bias.grad = torch.tensor([[3.0]]), torch.tensor([-4.0])
    asked = replace(recipe, finetune=replace(recipe.finetune, gradient_norm=limit))
    steering.Steering(
        asked,
        model,
        torch.optim.SGD(model.parameters()),
        torch.zeros(1),
        torch.zeros(1),
        lambda batch: batch,
        torch.Generator(),
    ).after_backward()
    found = [model.weight.grad.item(), model.bias.grad.item()]
    # clip_grad_norm_ divides by the norm and 1e-6, in float32.
    assert found == pytest.approx([3 * kept, -4 * kept], rel=1e-6)


def test_a_negative_limit_is_refused(recipe: Recipe) -> None:
    """With the key's name."""
    message = r"^Recipe finetune gradient_norm must not be negative, not -1\.0$"
    with pytest.raises(ValueError, match=message):
        replace(recipe.finetune, gradient_norm=-1.0)
