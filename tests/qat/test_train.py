# SPDX-License-Identifier: Apache-2.0
"""Training runs."""

from __future__ import annotations

import hashlib
import io
import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import safetensors.numpy
import torch
from rich.console import Console

import tritone.qat.train as training
from tritone.golden import fast
from tritone.graph import Network
from tritone.qat import data
from tritone.qat.activation_method import ActivationKind, ActivationMethod
from tritone.qat.convert import convert
from tritone.qat.device import Device
from tritone.qat.distillation import Distillation
from tritone.qat.export import export_run
from tritone.qat.history import read_history
from tritone.qat.method import LayerMethod
from tritone.qat.models.catalog import build_model
from tritone.qat.modules import QuantizedModel
from tritone.qat.pretrained import Normalization, Pretrained
from tritone.qat.recipe import DataChoice, ExactTuning, Recipe, load_recipe, render_recipe
from tritone.qat.train import train

QUIET = Console(quiet=True)


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    """Few epochs, but enough to be killed in; adapters are drawn at random when they are over."""
    quick = load_recipe("digits_quick")
    return replace(
        quick,
        pretrain=replace(quick.pretrain, epochs=5),
        finetune=replace(quick.finetune, epochs=5),
        exact=ExactTuning(epochs=3, learning_rate=3e-4),
        distillation=Distillation(weight=0.5),
        activations=ActivationMethod(quantizer=ActivationKind.ASQ),
    )


@pytest.fixture(scope="module")
def uninterrupted(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a whole run."""
    run = tmp_path_factory.mktemp("whole")
    train(recipe, run, console=QUIET)
    return run


def final(run: Path) -> bytes:
    """Return the bytes of the last checkpoint: weights, optimiser and random state."""
    return (run / "checkpoint-exact-0003.safetensors").read_bytes()


def test_report(recipe: Recipe, uninterrupted: Path) -> None:
    """train.json has what identifies the run and its accuracies on the whole test set."""
    report = json.loads((uninterrupted / "train.json").read_text())
    assert list(report) == [
        "dataset",
        "model",
        "method",
        "estimator",
        "codebook",
        "weight_bits",
        "act_bits",
        "epochs",
        "epochs_fp32",
        "seed",
        "images",
        "top1_fp32",
        "epochs_exact",
        "top1_finetuned",
        "top1_quant",
        "top1_frozen",
        "top1_static",
        "seconds",
        "device",
        "commit",
    ]
    assert [report[key] for key in list(report)[:10]] == [
        "digits", "digits", "post", "ste", "post4", 4, 4, 5, 5, 0
    ]  # fmt: skip
    assert report["epochs_exact"] == 3
    for key in ("top1_fp32", "top1_finetuned", "top1_quant", "top1_frozen"):
        # Far above chance, and a count of the 360 images; the report keeps the whole float.
        assert 60 < report[key] <= 100
        assert report[key] == 100 * round(report[key] * 3.6) / 360
    assert report["seconds"] > 0
    assert (uninterrupted / "recipe.toml").read_text() == render_recipe(recipe)


def test_history(uninterrupted: Path) -> None:
    """Every epoch of all stages is there, and the training made progress."""
    history = read_history(uninterrupted)
    assert [(each.stage, each.epoch) for each in history] == [
        (stage, epoch)
        for stage, epochs in (("pretrain", 5), ("finetune", 5), ("exact", 3))
        for epoch in range(1, epochs + 1)
    ]
    assert history[4].loss < history[0].loss
    assert history[4].top1 > history[0].top1
    assert [each.observation is not None for each in history] == [False] * 5 + [True] * 5 + [
        False
    ] * 3
    assert history[9].observation is not None
    assert set(history[9].observation.clipped) == {"conv1", "conv2", "conv3"}
    assert set(history[9].observation.weights) == {"conv1", "conv2", "conv3", "linear"}


def test_killed_run_resumes_to_the_same_weights(
    recipe: Recipe, uninterrupted: Path, tmp_path: Path
) -> None:
    """After SIGKILL in each stage the run goes on and ends with the bytes of the whole run."""
    path = tmp_path / "mine.toml"
    path.write_text(render_recipe(recipe))
    run = tmp_path / "run"
    program = (
        "from pathlib import Path; from tritone.qat.recipe import load_recipe; "
        "from tritone.qat.train import train; "
        f"train(load_recipe({str(path)!r}), Path({str(run)!r}))"
    )
    for moment in ("checkpoint-pretrain-0002", "checkpoint-finetune-0001", "checkpoint-exact-0001"):
        process = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 120
        while process.poll() is None and not (run / f"{moment}.safetensors").exists():
            assert time.monotonic() < deadline
            time.sleep(0.002)
        process.kill()
        assert process.wait() == -signal.SIGKILL
        assert not (run / "train.json").exists()
    train(recipe, run, console=QUIET)
    assert final(run) == final(uninterrupted)
    reports = [
        json.loads((folder / "train.json").read_text()) | {"seconds": None}
        for folder in (run, uninterrupted)
    ]
    assert reports[0] == reports[1]
    assert read_history(run) == read_history(uninterrupted)


def test_exact_training_starts_from_the_frozen_network(
    recipe: Recipe, uninterrupted: Path, tmp_path: Path
) -> None:
    """What it comes to before is what the run without it comes to; the export is what it trained.

    The weights have moved, so the logits are others.
    """
    report = json.loads((uninterrupted / "train.json").read_text())
    without = train(replace(recipe, exact=None), tmp_path, console=QUIET)
    assert without["top1_frozen"] == report["top1_finetuned"]
    assert "epochs_exact" not in without
    export_run(uninterrupted)
    export_run(tmp_path)
    logits = []
    for run, top1 in ((uninterrupted, report["top1_frozen"]), (tmp_path, without["top1_frozen"])):
        test = safetensors.numpy.load_file(run / "graph" / "test.safetensors")
        network = Network.load(run / "graph")
        assert (
            fast.run(network, test["images"])[network.output][..., 0, 0] == test["logits"]
        ).all()
        assert 100 * int((test["logits"].argmax(1) == test["labels"]).sum()) / 360 == top1
        logits.append(test["logits"])
    assert (logits[0] != logits[1]).any()


def test_another_seed_gives_other_weights(
    recipe: Recipe, uninterrupted: Path, tmp_path: Path
) -> None:
    """Equality above is not that of a constant."""
    train(replace(recipe, seed=recipe.seed + 1), tmp_path, console=QUIET)
    assert final(tmp_path) != final(uninterrupted)


def test_adapters_have_the_seed_of_the_recipe(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before any training, where nothing else has made them differ."""
    made = []

    def keep(*given: Any) -> QuantizedModel:
        made.append(convert(*given))
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "convert", keep)
    for seed in (0, 1, 0):
        with pytest.raises(KeyboardInterrupt):
            train(replace(recipe, seed=seed), tmp_path / "run", console=QUIET)
    first, other, again = (
        torch.cat(
            [v.flatten() for k, v in each.state_dict().items() if ".adapter.hidden.weight" in k]
        )
        for each in made
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_distillation_changes_the_fine_tuning_only(
    recipe: Recipe, uninterrupted: Path, tmp_path: Path
) -> None:
    """Without a teacher the full-precision network is the same, the quantised one another."""
    train(replace(recipe, distillation=Distillation()), tmp_path, console=QUIET)
    assert (tmp_path / "fp32.safetensors").read_bytes() == (
        uninterrupted / "fp32.safetensors"
    ).read_bytes()
    assert final(tmp_path) != final(uninterrupted)


def test_refuses_what_cannot_be_converted(recipe: Recipe, tmp_path: Path) -> None:
    """Before anything is written or trained in full precision."""
    typo = replace(recipe, layers=(LayerMethod(pattern="cnov2", act_bits=3),))
    shown = Console(file=io.StringIO(), force_terminal=True)
    message = r"^Recipe layers pattern must match one of conv1, .*, not 'cnov2'$"
    with pytest.raises(ValueError, match=message):
        train(typo, tmp_path / "run", console=shown)
    assert not (tmp_path / "run").exists()
    assert shown.file.getvalue() == ""


def test_refuses_an_accelerator_that_is_not_there(recipe: Recipe, tmp_path: Path) -> None:
    """Before anything is written."""
    if torch.cuda.is_available():
        pytest.skip("an accelerator is there")
    with pytest.raises(ValueError, match=r"^Device must be cpu or auto, not cuda: torch finds no"):
        train(recipe, tmp_path / "run", console=QUIET, device=Device.CUDA)
    assert not (tmp_path / "run").exists()


def test_finished_run_is_not_repeated(recipe: Recipe, uninterrupted: Path) -> None:
    """The report is read, not made again."""
    before = (uninterrupted / "train.json").stat().st_mtime_ns
    report = train(recipe, uninterrupted, console=QUIET)
    assert report == json.loads((uninterrupted / "train.json").read_text())
    assert (uninterrupted / "train.json").stat().st_mtime_ns == before


@pytest.mark.parametrize("text", ["", "{}", "[]"])
def test_refuses_a_damaged_report(recipe: Recipe, tmp_path: Path, text: str) -> None:
    """A run whose report was lost is not finished."""
    (tmp_path / "recipe.toml").write_text(render_recipe(recipe))
    (tmp_path / "train.json").write_text(text)
    with pytest.raises(ValueError, match=r"^Report .*train\.json must "):
        train(recipe, tmp_path, console=QUIET)


def test_refuses_a_folder_of_another_recipe(recipe: Recipe, uninterrupted: Path) -> None:
    """Runs are not mixed."""
    message = r"^Run .* must be continued with the recipe it was started with, .*recipe\.toml; .*$"
    with pytest.raises(ValueError, match=message):
        train(replace(recipe, batch=9), uninterrupted, console=QUIET)


def test_refuses_a_loss_that_is_not_finite(recipe: Recipe, tmp_path: Path) -> None:
    """Training stops, and says where.

    Adam's first step is the learning rate, whatever the gradient: weights and biases are 1e30. The
    image is below 2, so conv1 stays finite, and the batch norm behind it gives its bias; 1e30 times
    1e30, in conv2, is beyond float32.
    """
    wild = replace(recipe, pretrain=replace(recipe.pretrain, learning_rate=1e30))
    message = (
        r"^Loss must be finite, not nan, in epoch 1 of pretrain: "
        r"it went wrong in layer conv2; a lower learning rate may help$"
    )
    with pytest.raises(ValueError, match=message):
        train(wild, tmp_path, console=QUIET)
    assert not (tmp_path / "train.json").exists()


def test_refuses_a_missing_data_set(recipe: Recipe, tmp_path: Path) -> None:
    """Before anything is written."""
    with pytest.raises(FileNotFoundError, match=r"^Data set must be digits or a file .*$"):
        train(replace(recipe, dataset="cifar10"), tmp_path / "run", tmp_path, QUIET)
    assert not (tmp_path / "run").exists()


def test_weights_of_others(recipe: Recipe, tmp_path: Path) -> None:
    """Their top-1 is measured on what they read, here u / 255; then they are folded and tuned."""
    first = replace(recipe, finetune=replace(recipe.finetune, epochs=1))
    run = tmp_path / "first"
    model = build_model("digits", 1, 10).eval()
    path = tmp_path / "weights.th"
    torch.save(
        {"state_dict": {f"module.{key}": value for key, value in model.state_dict().items()}}, path
    )
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    second = replace(
        first,
        pretrain=None,
        pretrained=Pretrained(file=str(path), sha256=digest, normalization=Normalization.UNIT),
        flip=True,
        data=DataChoice(validation=300),
    )
    report = train(second, run, console=QUIET)
    dataset = data.hold_out(data.load("digits"), 300)
    with torch.no_grad():
        logits = model(torch.from_numpy(dataset.test_images).float() / 255)
    hits = int((logits.argmax(1) == torch.from_numpy(dataset.test_labels)).sum())
    assert report["top1_fp32"] == 100 * hits / 300
    assert (report["images"], report["epochs_fp32"]) == ("validation", 0)
    # The exported graph has the folded bias; its file of images holds the validation images.
    network = export_run(run)
    assert network.nodes[0].name == "conv1"
    kept = safetensors.numpy.load_file(run / "graph" / "test.safetensors")
    assert (kept["images"] == dataset.test_images).all()
    path.unlink()  # finished runs need it no more
    assert train(second, run, console=QUIET) == report
