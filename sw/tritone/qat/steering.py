# SPDX-License-Identifier: Apache-2.0
"""What a fine-tuning does beside its optimiser: schedules of estimators, statistics of norms."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from tritone.qat.estimators import Blending, ElementwiseScaling, EstimatorKind
from tritone.qat.hessian import update_deltas
from tritone.qat.modules import QuantizedModel
from tritone.qat.normalization import reestimate
from tritone.qat.parallel import rank, size
from tritone.qat.recipe import Recipe
from tritone.qat.sample import sample
from tritone.qat.schedules import (
    DeltaMode,
    hold_blended_weights,
    set_blend,
    set_delta,
)

__all__ = ["Steering"]


class Steering:
    """Called around epochs and steps; what it depends on is in the checkpoint of a run.

    Parameters
    ----------
    recipe : of the run.
    model, optimizer : of the fine-tuning, before a checkpoint is loaded into them.
    images, labels : the training set, bytes and classes.
    augment : makes of images what a training step sees.
    generator : of the run.
    """

    def __init__(
        self,
        recipe: Recipe,
        model: QuantizedModel,
        optimizer: torch.optim.Optimizer,
        images: Tensor,
        labels: Tensor,
        augment: Callable[[Tensor], Tensor],
        generator: torch.Generator,
    ) -> None:
        self.recipe, self.model, self.optimizer = recipe, model, optimizer
        self.images, self.labels, self.generator = images, labels, generator
        self.augment = augment
        self.blends = EstimatorKind.BLENDING in recipe.method.estimators
        if recipe.ewgs.mode is DeltaMode.FIXED:
            set_delta(model, recipe.ewgs.delta)

    def before_epoch(self, epoch: int) -> None:
        """Estimate EWGS's deltas where they are due; epochs are counted from 0."""
        settings = self.recipe.ewgs
        if settings.mode is DeltaMode.FIXED or epoch == 0 or epoch % settings.interval:
            return
        order = torch.randperm(len(self.labels), generator=self.generator)
        chosen = itertools.islice(order.split(settings.batch), settings.batches)
        losses = [lambda each=each: self._loss(each) for each in chosen]
        update_deltas(self.model, losses, settings.probes, self.generator)

    def _loss(self, chosen: Tensor) -> Tensor:
        return functional.cross_entropy(self.model(self.images[chosen]), self.labels[chosen])

    def before_step(self, progress: float) -> None:
        """Set what depends on how much of the training, 0..1, is over."""
        if not self.blends:
            return
        value = self.recipe.blending.value(progress)
        if set_blend(self.model, value) and value == 1:
            self.reestimate()

    def after_backward(self) -> None:
        """Decide what the optimiser's step may change, and how far."""
        if limit := self.recipe.finetune.gradient_norm:
            nn.utils.clip_grad_norm_(self.model.parameters(), limit)
        if self.blends:
            hold_blended_weights(self.model, self.optimizer)

    def after_training(self) -> None:
        """Make the model what is evaluated."""
        self.reestimate()

    @property
    def blend(self) -> float | None:
        """Alpha-blending's alpha; None without the estimator."""
        found = [m.blend for m in self.model.modules() if isinstance(m, Blending)]
        return float(found[0]) if found else None

    @property
    def deltas(self) -> dict[str, float]:
        """EWGS's delta of each tensor by the path of its estimator."""
        return {
            path: float(module.delta)
            for path, module in self.model.named_modules()
            if isinstance(module, ElementwiseScaling)
        }

    def reestimate(self) -> None:
        """Measure the statistics of batch norm again, if the recipe wants it.

        Over images as the training saw them: ones that are not moved have other means at their
        edges, and the weights do not know these.
        """
        batch, batches = self.recipe.batch, self.recipe.finetune.norm_batches
        if batches:
            chosen = sample(self.images, batch * batches).split(batch)
            # Batch norms are those of all processes, each of which has its share.
            shares = (self.augment(images)[rank() :: size()] for images in chosen)
            reestimate(self.model, self.model, shares)
