# SPDX-License-Identifier: Apache-2.0
"""Training: full precision first, then quantised from those weights, then frozen if wanted."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor, nn

from tritone.qat import data
from tritone.qat.arithmetic import Arithmetic, autocast
from tritone.qat.augment import augment_images
from tritone.qat.checkpoint import (
    Progress,
    Stage,
    load_baseline,
    load_checkpoint,
    save_baseline,
    save_checkpoint,
)
from tritone.qat.convert import convert
from tritone.qat.determinism import deterministic, seeded
from tritone.qat.device import Device, choose_device
from tritone.qat.distillation import Loss, distillation_loss, label_loss
from tritone.qat.divergence import culprit, diverged, gradient_culprit, largest_gradient
from tritone.qat.evaluate import top1
from tritone.qat.exact import ExactModel
from tritone.qat.history import EpochRecord, read_report, record_epoch
from tritone.qat.memory import keep_freed_memory
from tritone.qat.models.catalog import build_model
from tritone.qat.modules import QuantizedModel, raw_input, real_input
from tritone.qat.observation import observe
from tritone.qat.optimizers import build_optimizer, set_progress
from tritone.qat.parallel import add_up, joined, local_device, rank, separate_norms, size, wrap
from tritone.qat.pretrained import (
    Pretrained,
    fold_normalization,
    load_weights,
    map_weights,
    normalized_input,
)
from tritone.qat.progress import TrainingDisplay
from tritone.qat.recipe import (
    ExactTuning,
    Finetuning,
    Pretraining,
    Recipe,
    load_recipe,
    render_recipe,
)
from tritone.qat.report import report_training
from tritone.qat.schedules import set_activation_part
from tritone.qat.steering import Steering
from tritone.spec.storage import write_atomically, write_json

__all__ = ["RECIPE", "REPORT", "initial_model", "train"]

REPORT = "train.json"
RECIPE = "recipe.toml"


def train(
    recipe: Recipe,
    run: Path,
    folder: Path = data.DATA_FOLDER,
    console: Console | None = None,
    device: Device = Device.CPU,
) -> dict[str, Any]:
    """Train, or go on training, in the folder ``run`` and return what is in its train.json.

    The accuracies are those of the last epoch on the whole test set, in percent. A run that is
    finished is not repeated.

    Parameters
    ----------
    recipe : of the run; kept as recipe.toml, with the file of its model beside it.
    run : folder of the run, made where it is not there.
    folder : of the data sets.
    console : where progress is shown; the standard error by default.
    device : where it computes. Another one than before may go on with a run; its sums have other
        orders.

    Raises
    ------
    ValueError : the recipe's network cannot be converted, the folder holds a run of another recipe
        or damaged files, the data set is damaged, the loss or a gradient is no longer finite, or no
        such device is there.
    FileNotFoundError : the data set, or the file of pretrained weights, is missing.
    """
    place = local_device(choose_device(device))
    dataset = data.hold_out(data.load(recipe.dataset, folder), recipe.data.validation)
    if not (run / REPORT).is_file():
        # What conversion or import refuses is told before anything is written or trained.
        _quantized(recipe, dataset, initial_model(recipe, dataset))
        if recipe.pretrained is not None and not (run / RECIPE).is_file():
            map_weights(_build(recipe, dataset), load_weights(recipe.pretrained))
    _claim(run, recipe)
    if (run / REPORT).is_file():
        return read_report(run / REPORT)
    if console is None:
        console = Console(stderr=True, quiet=rank() > 0)
    keep_freed_memory()
    with deterministic(recipe.threads), joined(place):
        report = _Training(recipe, run, dataset, place).run(console)
        if rank() == 0:
            write_json(run / REPORT, report)
    return report


def initial_model(recipe: Recipe, dataset: data.Dataset) -> nn.Module:
    """Return the full-precision model before training, the same one for the same seed.

    It reads ``(u - 128) / 64``, and has the parameters that a pretrained one has too.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        model = _build(recipe, dataset)
    if recipe.pretrained is not None:
        fold_normalization(model, recipe.pretrained.normalization)
    return model


def _quantized(recipe: Recipe, dataset: data.Dataset, model: nn.Module) -> QuantizedModel:
    """Return what the fine-tuning of ``model`` starts from, on its device."""
    return convert(model, dataset.shape, recipe.precision, recipe.method, recipe.seed)


def _build(recipe: Recipe, dataset: data.Dataset) -> nn.Module:
    """Return a new network, with weights of torch's random numbers."""
    return build_model(recipe.model, dataset.shape[0], dataset.classes, recipe.source)


def _claim(run: Path, recipe: Recipe) -> None:
    """Make ``run`` a folder of ``recipe``, which the file of its model is a part of."""
    path = run / RECIPE
    if not path.is_file():
        if recipe.source is not None:
            write_atomically(run / recipe.source.path.name, recipe.source.code)
        write_atomically(path, render_recipe(recipe).encode())
        return
    own = load_recipe(path)
    if own == recipe:
        return
    started = f"recipe it was started with, {path}"
    if own.source is not None and own.model_sha256 != recipe.model_sha256:
        started = f"model it was started with, {own.source.path}"
    raise ValueError(
        f"Run {run} must be continued with the {started}; remove the folder or choose another one"
    )


class _Training:
    """One run: its data, its random numbers and its clock.

    Parameters
    ----------
    recipe, run, dataset : as for ``train``.
    device : where it computes.
    """

    def __init__(
        self, recipe: Recipe, run: Path, dataset: data.Dataset, device: torch.device
    ) -> None:
        self.recipe, self.folder, self.dataset = recipe, run, dataset
        self.device = device
        self.train_images = torch.from_numpy(dataset.train_images).to(device)
        self.train_labels = torch.from_numpy(dataset.train_labels).to(device)
        self.test_images = torch.from_numpy(dataset.test_images).to(device)
        self.test_labels = torch.from_numpy(dataset.test_labels).to(device)
        self.generator = torch.Generator().manual_seed(recipe.seed)
        self.checkpoint = load_checkpoint(run)
        done = self.checkpoint.progress if self.checkpoint else None
        self.started = time.monotonic() - (done.seconds if done else 0.0)
        self.top1_fp32 = done.top1_fp32 if done else None
        self.top1_finetuned = done.top1_finetuned if done else None
        self.epoch_steps = math.ceil(len(self.train_labels) / recipe.batch)
        smallest = (len(self.train_labels) - 1) % recipe.batch + 1
        if recipe.batch % size() or smallest < size():
            raise ValueError(
                f"Batch must have equal shares for {size()} processes, and the last one of an "
                f"epoch an image for each, not {recipe.batch} and {smallest} images"
            )

    @property
    def seconds(self) -> float:
        """Seconds of training so far, over all attempts."""
        return round(time.monotonic() - self.started, 3)

    def run(self, console: Console) -> dict[str, Any]:
        """Train all stages and return the report."""
        recipe = self.recipe
        stage = Stage.PRETRAIN if self.checkpoint is None else self.checkpoint.progress.stage
        with TrainingDisplay(console, recipe.epochs * self.epoch_steps) as display:
            model = initial_model(recipe, self.dataset).to(self.device)
            if stage is not Stage.PRETRAIN:
                display.skip(recipe.pretrain_epochs * self.epoch_steps)
                load_baseline(self.folder, model)
            elif recipe.pretrained is not None:
                model = self._import(recipe.pretrained)
            elif recipe.pretrain is not None:
                self._stage(Stage.PRETRAIN, recipe.pretrain, model, real_input, label_loss, display)
                model.eval()
                self.top1_fp32 = self._test(lambda x: model(real_input(x)))
            if rank() == 0:
                save_baseline(self.folder, model)
            quantized = _quantized(recipe, self.dataset, model)
            trained: QuantizedModel | ExactModel = quantized
            loss = distillation_loss(recipe.distillation, model, recipe.finetune.arithmetic)
            if stage is Stage.EXACT:
                display.skip(recipe.finetune.epochs * self.epoch_steps)
            else:
                self._stage(Stage.FINETUNE, recipe.finetune, quantized, raw_input, loss, display)
            if recipe.exact is not None:
                trained = ExactModel(quantized)
                if stage is not Stage.EXACT:
                    self._measure_frozen(trained)
                self._stage(Stage.EXACT, recipe.exact, trained, raw_input, loss, display)
        return report_training(
            recipe,
            trained,
            self._progress(Stage.EXACT if recipe.exact else Stage.FINETUNE, recipe.epochs),
            self.train_images,
            self.test_images,
            self.test_labels,
        )

    def _progress(self, stage: Stage, epoch: int) -> Progress:
        return Progress(
            stage=stage,
            epoch=epoch,
            seconds=self.seconds,
            top1_fp32=self.top1_fp32,
            top1_finetuned=self.top1_finetuned,
        )

    def _measure_frozen(self, model: ExactModel) -> None:
        """Note what the network comes to without exact training, which starts with it."""
        model.start(self.train_images)
        model.to("cpu")  # as for the report
        self.top1_finetuned = top1(model.freeze(), self.test_images.cpu(), self.test_labels.cpu())
        model.to(self.device)

    def _import(self, pretrained: Pretrained) -> nn.Module:
        """Return the model with weights of others; its top-1 is measured as it was trained."""
        model = _build(self.recipe, self.dataset).eval()
        map_weights(model, load_weights(pretrained))
        model.to(self.device)
        self.top1_fp32 = self._test(lambda x: model(normalized_input(x, pretrained.normalization)))
        fold_normalization(model, pretrained.normalization)
        return model

    def _stage(
        self,
        stage: Stage,
        settings: Pretraining | Finetuning | ExactTuning,
        model: nn.Module,
        read: Callable[[Tensor], Tensor],
        loss_of: Loss,
        display: TrainingDisplay,
    ) -> None:
        """Train ``model`` for what is left of ``stage``, with a checkpoint after every epoch.

        ``read`` makes of images what the model takes.
        """
        optimizer = build_optimizer(
            self.recipe.optimizer, model, settings, self.recipe.activations.weight_decay
        )
        steering = None
        if isinstance(model, QuantizedModel):
            steering = Steering(
                self.recipe,
                model,
                optimizer,
                self.train_images,
                self.train_labels,
                self._augment,
                self.generator,
            )
        first = 0
        if self.checkpoint and self.checkpoint.progress.stage is stage:
            self.checkpoint.restore(model, optimizer, self.generator)
            first = self.checkpoint.progress.epoch
            display.skip(first * self.epoch_steps)
        model.train()
        # At the end of its ramp a blended weight has no gradient.
        network = wrap(model, unused=steering is not None and steering.blends)

        arithmetic = Arithmetic.FLOAT32
        if isinstance(settings, Finetuning):
            arithmetic = settings.arithmetic

        def forward(images: Tensor) -> Tensor:
            with autocast(arithmetic, self.device):
                logits: Tensor = network(read(images))
            return logits

        for epoch in range(first, settings.epochs):
            with seeded(f"{self.recipe.seed} {stage.value} {epoch}", self.device):
                loss, accuracy = self._epoch(
                    stage, epoch, settings, model, forward, loss_of, optimizer, steering, display
                )
            if steering and epoch + 1 == settings.epochs:
                steering.after_training()
            observation = None
            if isinstance(model, QuantizedModel):
                observation = observe(model, self.train_images)
                for warning in observation.warnings:
                    display.warn(warning)
            record = EpochRecord(
                stage=stage.value,
                epoch=epoch + 1,
                loss=loss,
                top1=accuracy,
                blend=steering.blend if steering else None,
                deltas=steering.deltas if steering else {},
                observation=observation,
            )
            if rank() > 0:
                continue
            record_epoch(self.folder, record)
            save_checkpoint(
                self.folder, self._progress(stage, epoch + 1), model, optimizer, self.generator
            )
        separate_norms(model)

    def _epoch(
        self,
        stage: Stage,
        epoch: int,
        settings: Pretraining | Finetuning | ExactTuning,
        model: nn.Module,
        forward: Callable[[Tensor], Tensor],
        loss_of: Loss,
        optimizer: torch.optim.Optimizer,
        steering: Steering | None,
        display: TrainingDisplay,
    ) -> tuple[float, float]:
        """Train one epoch; return the mean loss and the top-1 in percent of its images."""
        if steering:
            steering.before_epoch(epoch)
        epochs = settings.epochs
        order = torch.randperm(len(self.train_labels), generator=self.generator)
        seen = hits = 0
        losses = 0.0
        for step, chosen in enumerate(order.to(self.device).split(self.recipe.batch)):
            progress = (epoch + step / self.epoch_steps) / epochs
            set_progress(optimizer, settings.schedule, progress)
            if steering:
                steering.before_step(progress)
            labels = self.train_labels[chosen]
            images = self._augment(self.train_images[chosen])
            images, labels = images[rank() :: size()], labels[rank() :: size()]
            part = len(labels) / len(chosen)
            if size() > 1:
                set_activation_part(model, part)
            try:
                logits = forward(images)
            except (OverflowError, ValueError):
                # A layer may refuse what is not finite before there is a loss.
                if (where := culprit(model, forward, images)) is None:
                    raise
                raise diverged("Loss", math.nan, stage, epoch, where) from None
            loss = loss_of(images, logits, labels)
            found = int((logits.argmax(1) == labels).sum())
            mean, right = add_up(loss.item() * part, found)
            if not math.isfinite(mean):
                where = culprit(model, forward, images)
                raise diverged("Loss", mean, stage, epoch, where)
            optimizer.zero_grad()
            # The gradients of the processes are averaged, not added.
            (loss * (part * size()) if size() > 1 else loss).backward()
            # Before the step: behind it all layers are wrong, and the first one is no culprit.
            if not math.isfinite(largest := largest_gradient(model)):
                where = gradient_culprit(model, forward, images)
                raise diverged("Gradient", largest, stage, epoch, where)
            if steering:
                steering.after_backward()
            optimizer.step()
            seen += len(chosen)
            hits += int(right)
            losses += mean * len(chosen)
            display.step(stage.value, epoch + 1, epochs, losses / seen, 100 * hits / seen)
        return losses / seen, 100 * hits / seen

    def _augment(self, images: Tensor) -> Tensor:
        recipe = self.recipe
        return augment_images(images, recipe.crop, recipe.shift, recipe.flip, self.generator)

    def _test(self, model: Callable[[Tensor], Tensor]) -> float:
        return top1(model, self.test_images, self.test_labels)
