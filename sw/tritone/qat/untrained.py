# SPDX-License-Identifier: Apache-2.0
"""The network of a recipe before any training: what a machine makes of it shows already."""

from __future__ import annotations

from pathlib import Path

import torch

from tritone import graph
from tritone.qat import data
from tritone.qat.convert import convert
from tritone.qat.determinism import deterministic
from tritone.qat.export import save_export
from tritone.qat.freeze import freeze
from tritone.qat.identity import setting_digest
from tritone.qat.recipe import Recipe
from tritone.qat.sample import sample
from tritone.qat.train import RECIPE, initial_model
from tritone.spec.storage import write_json

__all__ = ["UNTRAINED", "export_untrained"]

# What a run folder says of itself where there is no train.json.
UNTRAINED = "untrained.json"

# Training images that set the steps and the statistics of batch norm.
_IMAGES = 16


def export_untrained(
    recipe: Recipe, run: Path, images: int, folder: Path = data.DATA_FOLDER
) -> graph.Network:
    """Write the graph of the recipe's network with its initial weights to ``run/graph``.

    Steps and batch norm are set by two passes over a few training images, in which no weight
    changes. The files are those of ``export_run``, with the first ``images`` test images; the
    network's name says that its weights are random. ``run/untrained.json`` tells model, setting,
    codebook and bits.

    Raises
    ------
    ValueError : ``images`` is not in 1..the size of the test set, or ``run`` was trained.
    FileNotFoundError : no data set.
    """
    if (run / RECIPE).exists():
        raise ValueError(f"Run {run} must be a folder without a training; choose another one")
    dataset = data.load(recipe.dataset, folder)
    if not 1 <= images <= len(dataset.test_images):
        raise ValueError(f"Images must be in 1..{len(dataset.test_images)}, not {images}")
    seen = sample(torch.from_numpy(dataset.train_images), _IMAGES)
    held = torch.from_numpy(dataset.test_images[:images])
    with deterministic(recipe.threads):
        model = convert(
            initial_model(recipe, dataset),
            dataset.shape,
            recipe.precision,
            recipe.method,
            recipe.seed,
        )
        model.train()
        with torch.no_grad():
            for _ in range(2):
                model(seen)
        frozen = freeze(model, seen)
        logits = frozen(held)
    name = f"{recipe.name} (random weights)"
    network = save_export(
        frozen, name, run, held.numpy(), dataset.test_labels[:images], logits.numpy()
    )
    write_json(
        run / UNTRAINED,
        {
            "dataset": recipe.dataset,
            "model": recipe.model_name,
            "setting": setting_digest(recipe),
            "codebook": recipe.precision.weights,
            "weight_bits": recipe.weights.companding or recipe.precision.weight_bits,
            "act_bits": recipe.precision.act_bits,
            "seed": recipe.seed,
        },
    )
    return network
