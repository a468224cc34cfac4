# SPDX-License-Identifier: Apache-2.0
"""From a frozen model, or a run folder, to the integer graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors.numpy
import torch

from tritone import graph
from tritone.qat import data
from tritone.qat.adapters import adapts, fix_steps
from tritone.qat.checkpoint import Stage, load_checkpoint
from tritone.qat.convert import convert
from tritone.qat.determinism import deterministic
from tritone.qat.evaluate import BATCH
from tritone.qat.exact import ExactModel
from tritone.qat.freeze import freeze
from tritone.qat.frozen import FrozenConvolution, FrozenModel
from tritone.qat.memory import keep_freed_memory
from tritone.qat.modules import INPUT, QuantizedModel
from tritone.qat.recipe import load_recipe
from tritone.qat.train import RECIPE, initial_model
from tritone.spec.storage import write_atomically

__all__ = ["export", "export_run", "save_export"]


def export(model: FrozenModel, name: str) -> graph.Network:
    """Return the graph of a frozen model, under that name."""
    nodes: list[graph.Node] = []
    for node in model.nodes:
        if isinstance(node, FrozenConvolution):
            nodes.append(
                graph.Convolution(
                    name=node.name,
                    input=node.input,
                    output=node.output,
                    window=node.window,
                    codebook=node.codebook,
                    codes=node.codes.numpy(),
                    bits=node.bits,
                    pad_code=node.read_zero,
                    multiplier=node.multiplier.numpy(),
                    offset=node.offset.numpy(),
                    shift=node.shift,
                    low=node.low,
                    high=node.high,
                    half_octaves=None if node.half_octaves is None else node.half_octaves.numpy(),
                    groups=node.groups,
                    shortcut=node.shortcut,
                    gain=node.gain,
                )
            )
        else:
            nodes.append(
                graph.Pool(
                    name=node.name,
                    input=node.input,
                    output=node.output,
                    kind=node.kind,
                    window=node.window,
                    multiplier=node.multiplier,
                    shift=node.shift,
                )
            )
    return graph.Network(
        name=name,
        input=INPUT,
        output=model.nodes[-1].output,
        tensors=model.tensors,
        nodes=tuple(nodes),
    )


def _fix_steps(run: Path, model: QuantizedModel, images: torch.Tensor) -> None:
    if not adapts(model):
        raise ValueError(
            f"Run {run} must have adaptive steps that levels are multiplied by (asq, adapted) "
            "for static ones to take their place"
        )
    fix_steps(model, images)


def export_run(
    run: Path, folder: Path = data.DATA_FOLDER, *, static_steps: bool = False
) -> graph.Network:
    """Freeze the trained model of a run folder and write its graph.

    Into ``run/graph``: the network (network.json, weights.safetensors) and test.safetensors with
    the whole test set, or the validation images of the recipe: ``images`` uint8 (N, C, H, W),
    ``labels`` int64 (N,), and the frozen model's ``logits`` int64 (N, classes).

    Parameters
    ----------
    run, folder : as for ``train``.
    static_steps : adaptive steps (asq) are replaced by their means over training images.

    Raises
    ------
    ValueError : the training of the run is not finished, or it has no such steps.
    FileNotFoundError : no run, or no data set.
    """
    if not (run / RECIPE).is_file():
        raise FileNotFoundError(f"Run must be a folder that was trained, not {run}: train it first")
    recipe = load_recipe(run / RECIPE)
    checkpoint = load_checkpoint(run)
    last = (
        (Stage.FINETUNE, recipe.finetune.epochs)
        if recipe.exact is None
        else (Stage.EXACT, recipe.exact.epochs)
    )
    done = checkpoint and (checkpoint.progress.stage, checkpoint.progress.epoch)
    if checkpoint is None or done != last:
        raise ValueError(
            f"Run {run} must be trained to its last epoch; continue its training first"
        )
    dataset = data.hold_out(data.load(recipe.dataset, folder), recipe.data.validation)
    model = convert(initial_model(recipe, dataset), dataset.shape, recipe.precision, recipe.method)
    trained: torch.nn.Module = model if recipe.exact is None else ExactModel(model)
    checkpoint.restore_model(trained)
    # As in training: the step of the logits comes from float sums.
    train_images = torch.from_numpy(dataset.train_images)
    keep_freed_memory()
    with deterministic(recipe.threads):
        if static_steps:
            _fix_steps(run, model, train_images)
        if isinstance(trained, ExactModel) and not static_steps:
            frozen = trained.freeze()
        else:
            frozen = freeze(model, train_images)
        images = torch.from_numpy(dataset.test_images)
        logits = torch.cat([frozen(batch) for batch in images.split(BATCH)])
    return save_export(
        frozen, recipe.name, run, dataset.test_images, dataset.test_labels, logits.numpy()
    )


def save_export(
    frozen: FrozenModel,
    name: str,
    run: Path,
    images: npt.NDArray[np.uint8],
    labels: npt.NDArray[np.int64],
    logits: npt.NDArray[np.int64],
) -> graph.Network:
    """Write the graph of a frozen model, with images and its logits, to ``run/graph``."""
    network = export(frozen, name)
    network.save(run / "graph")
    test: dict[str, npt.NDArray[Any]] = {"images": images, "labels": labels, "logits": logits}
    write_atomically(run / "graph" / "test.safetensors", safetensors.numpy.save(test))
    return network
