# SPDX-License-Identifier: Apache-2.0
"""What a finished training comes to: train.json."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tritone.qat.adapters import adapts, fix_steps
from tritone.qat.checkpoint import Progress
from tritone.qat.evaluate import top1
from tritone.qat.exact import ExactModel
from tritone.qat.freeze import freeze
from tritone.qat.modules import QuantizedModel
from tritone.qat.recipe import Recipe

__all__ = ["report_training"]


def _commit() -> str | None:
    """Return the git commit of this source, None where it is not in a repository."""
    try:
        found = subprocess.run(
            ["git", "rev-parse", "HEAD"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return found.stdout.strip()


def _device_name(device: torch.device) -> str:
    """Return what a reader of a table wants to know about the device."""
    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    threads = torch.get_num_threads()
    return f"CPU, {threads} thread{'s' if threads > 1 else ''}"


def report_training(
    recipe: Recipe,
    trained: QuantizedModel | ExactModel,
    done: Progress,
    train_images: Tensor,
    images: Tensor,
    labels: Tensor,
) -> dict[str, Any]:
    """Return what identifies a run and its accuracies in percent.

    Parameters
    ----------
    recipe : of the run.
    trained : what its last stage trained; it is moved to the processor, and adaptive steps are
        replaced by static ones.
    done : how the run ended.
    train_images : raw bytes, on the device of the training.
    images, labels : that it is measured on, there too.
    """
    device = images.device
    model = trained.model if isinstance(trained, ExactModel) else trained
    model.eval()
    top1_quant = top1(model, images, labels)
    # An accelerator may convolve by transforms, which are not exact.
    trained.to("cpu")
    train_images, images, labels = train_images.cpu(), images.cpu(), labels.cpu()
    frozen = trained.freeze() if isinstance(trained, ExactModel) else freeze(model, train_images)
    exact = {}
    if recipe.exact is not None:
        exact = {"epochs_exact": recipe.exact.epochs, "top1_finetuned": done.top1_finetuned}
    ablation = {}
    if adapts(model):
        fix_steps(model, train_images)
        ablation["top1_static"] = top1(freeze(model, train_images), images, labels)
    return {
        "dataset": recipe.dataset,
        "model": recipe.model_name,
        "method": recipe.precision.method,
        "estimator": recipe.weights.estimator.value,
        "codebook": recipe.precision.weights,
        "weight_bits": recipe.weights.companding or recipe.precision.weight_bits,
        "act_bits": recipe.precision.act_bits,
        "epochs": recipe.finetune.epochs,
        "epochs_fp32": recipe.pretrain_epochs,
        "seed": recipe.seed,
        "images": "validation" if recipe.data.validation else "test",
        "top1_fp32": done.top1_fp32,
        **exact,
        "top1_quant": top1_quant,
        "top1_frozen": top1(frozen, images, labels),
        **ablation,
        "seconds": done.seconds,
        "device": _device_name(device),
        "commit": _commit(),
    }
