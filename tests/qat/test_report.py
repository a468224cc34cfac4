# SPDX-License-Identifier: Apache-2.0
"""What train.json says of a network, against counts of its own logits."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from tritone.qat import data
from tritone.qat.checkpoint import Progress, Stage
from tritone.qat.convert import convert
from tritone.qat.exact import ExactModel
from tritone.qat.models.catalog import build_model
from tritone.qat.recipe import DataChoice, ExactTuning, load_recipe
from tritone.qat.report import report_training

DONE = Progress(stage=Stage.EXACT, epoch=2, seconds=1.5, top1_fp32=97.5, top1_finetuned=96.25)


@pytest.mark.parametrize("exact", [False, True], ids=["finetuned", "exact"])
def test_accuracies_are_counted(exact: bool) -> None:
    """Quantised and frozen, of the images given; exact training adds what was before it."""
    recipe = replace(load_recipe("digits_quick"), data=DataChoice(validation=100))
    if exact:
        recipe = replace(recipe, exact=ExactTuning(epochs=2, learning_rate=1e-3))
    dataset = data.load("digits")
    seen, images = (
        torch.from_numpy(each[:200]) for each in (dataset.train_images, dataset.test_images)
    )
    labels = torch.from_numpy(dataset.test_labels[:200])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = convert(build_model("digits", 1, 10), dataset.shape, recipe.precision)
    model.train()
    with torch.no_grad():
        model(seen)
    trained = model
    if exact:
        trained = ExactModel(model)
        trained.start(seen[:7])  # a step of the logits that freezing with all images has not
        integers = trained.freeze()(images)
    report = report_training(recipe, trained, DONE, seen, images, labels)
    with torch.no_grad():
        real = model(images)
    assert report["top1_quant"] == 100 * int((real.argmax(1) == labels).sum()) / 200
    if exact:
        assert report["top1_frozen"] == 100 * int((integers.argmax(1) == labels).sum()) / 200
    assert abs(report["top1_frozen"] - report["top1_quant"]) < 5
    assert (report["epochs"], report["epochs_fp32"]) == (
        recipe.finetune.epochs,
        recipe.pretrain_epochs,
    )
    assert (report["top1_fp32"], report["seconds"], report["images"]) == (97.5, 1.5, "validation")
    assert (report.get("epochs_exact"), report.get("top1_finetuned")) == (
        (2, 96.25) if exact else (None, None)
    )
