# SPDX-License-Identifier: Apache-2.0
"""Recipes: everything that a training run depends on, as TOML."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field, replace
from enum import Enum
from importlib import resources
from pathlib import Path
from typing import Any

from tritone.qat.activation_method import ActivationKind, ActivationMethod
from tritone.qat.arithmetic import Arithmetic
from tritone.qat.distillation import Distillation
from tritone.qat.estimators import EstimatorKind
from tritone.qat.method import LayerMethod, Method, WeightMethod
from tritone.qat.models.source import ModelSource, read_source
from tritone.qat.precision import Multipliers, Precision
from tritone.qat.pretrained import Pretrained
from tritone.qat.recipe_tables import build_tables, render_tables
from tritone.qat.schedules import BlendingSchedule, DeltaSchedule

__all__ = [
    "DataChoice",
    "ExactTuning",
    "Finetuning",
    "Optimizer",
    "Pretraining",
    "Recipe",
    "Schedule",
    "load_recipe",
    "parse_recipe",
    "recipe_names",
    "render_recipe",
]

# What no key of a recipe tells.
_APART = frozenset({"source"})


class Optimizer(Enum):
    """Rule of the weight updates."""

    SGD = "sgd"  # Nesterov momentum 0.9
    ADAMW = "adamw"


class Schedule(Enum):
    """Of the learning rate, over the steps of a stage."""

    COSINE = "cosine"  # from the largest to 0
    ONE_CYCLE = "one_cycle"  # up for three tenths of the steps, then down to nearly 0


def _require_positive(kind: str, item: Any, *keys: str) -> None:
    for key in keys:
        if not getattr(item, key) > 0:
            raise ValueError(f"{kind} {key} must be positive, not {getattr(item, key)!r}")


def _require_not_negative(kind: str, item: Any, *keys: str) -> None:
    for key in keys:
        if not getattr(item, key) >= 0:
            raise ValueError(f"{kind} {key} must not be negative, not {getattr(item, key)!r}")


@dataclass(frozen=True, kw_only=True)
class Pretraining:
    """Full-precision training.

    Parameters
    ----------
    epochs : passes over the training set.
    learning_rate : the largest of the schedule.
    weight_decay : of convolution and linear weights.
    schedule : of the learning rate.
    """

    epochs: int
    learning_rate: float
    weight_decay: float = 0.0
    schedule: Schedule = Schedule.COSINE

    def __post_init__(self) -> None:
        _require_positive("Recipe pretrain", self, "epochs", "learning_rate")
        _require_not_negative("Recipe pretrain", self, "weight_decay")


@dataclass(frozen=True, kw_only=True)
class DataChoice:
    """Which images are trained on.

    Parameters
    ----------
    validation : training images that are kept apart, of each class its share; the accuracies are
        theirs then, and the test set is not touched. For choosing hyper-parameters.
    """

    validation: int = 0

    def __post_init__(self) -> None:
        _require_not_negative("Recipe data", self, "validation")


@dataclass(frozen=True, kw_only=True)
class Finetuning:
    """Quantised training, from the pretrained weights.

    Parameters
    ----------
    epochs, learning_rate, weight_decay, schedule : as in Pretraining.
    quantizer_learning_rate : of alpha and the activation steps, which have no weight decay.
    norm_batches : training batches over which the running statistics of batch norm are measured
        again behind the last step, and when blended weights become constant; 0: they are not.
    gradient_norm : the largest norm (L2) that all gradients of a step have together: larger ones
        are scaled down to it; 0: they are not.
    arithmetic : of the convolutions, the teacher's too.
    """

    epochs: int
    learning_rate: float
    quantizer_learning_rate: float
    weight_decay: float = 0.0
    norm_batches: int = 0
    gradient_norm: float = 0.0
    arithmetic: Arithmetic = Arithmetic.FLOAT32
    schedule: Schedule = Schedule.COSINE

    def __post_init__(self) -> None:
        _require_positive(
            "Recipe finetune", self, "epochs", "learning_rate", "quantizer_learning_rate"
        )
        _require_not_negative(
            "Recipe finetune", self, "weight_decay", "norm_batches", "gradient_norm"
        )


@dataclass(frozen=True, kw_only=True)
class ExactTuning:
    """Training of the frozen network, behind the fine-tuning: only weights and biases learn.

    Parameters
    ----------
    epochs, learning_rate, weight_decay, schedule : as in Pretraining.
    """

    epochs: int
    learning_rate: float
    weight_decay: float = 0.0
    schedule: Schedule = Schedule.COSINE

    def __post_init__(self) -> None:
        _require_positive("Recipe exact", self, "epochs", "learning_rate")
        _require_not_negative("Recipe exact", self, "weight_decay")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A training run.

    Its result depends on nothing else but the versions of the libraries and the processor.

    Parameters
    ----------
    name : of the network.
    dataset : name.
    model : name, or ``FILE.py:NAME``: a class or function of a file, whose place is told from the
        recipe's folder on; it is called with channels and classes.
    model_sha256 : of that file; None: whatever it holds when the recipe is read.
    seed : of initialisation, order and augmentation.
    batch : images a step.
    optimizer : of all stages.
    shift : augmentation: images move by at most this many pixels in x and in y, zeros coming in,
        which is the usual crop of an image padded by that many.
    crop : augmentation: of each image a part, of at least this part of its pixels and 3:4 to 4:3
        wide, is scaled to its size; 1: none, 0.08 is usual for ImageNet.
    flip : augmentation: half of the images are mirrored left to right.
    threads : of torch; the order of its sums depends on it, and on a busy machine small networks
        train many times slower with more than one.
    precision, finetune : sections.
    pretrain, pretrained : how the full-precision weights come to be: trained, or read from a file.
    exact : the network is trained as it is frozen, at the end; None: it is not.
    data : which images are trained on.
    weights : how the weights of the middle layers are quantised.
    activations : how all tensors but the image and the logits are quantised.
    layers : exceptions, ``[[layers]]`` tables.
    blending : schedule of the estimator ab.
    ewgs : delta of the estimator ewgs.
    distillation : what the fine-tuning learns from the full-precision network.
    source : the file of the model, which no key tells.
    """

    name: str
    dataset: str
    model: str
    seed: int
    batch: int
    optimizer: Optimizer
    precision: Precision
    finetune: Finetuning
    pretrain: Pretraining | None = None
    pretrained: Pretrained | None = None
    exact: ExactTuning | None = None
    data: DataChoice = field(default_factory=DataChoice)
    model_sha256: str | None = None
    shift: int = 0
    crop: float = 1.0
    flip: bool = False
    threads: int = 1
    weights: WeightMethod = field(default_factory=WeightMethod)
    activations: ActivationMethod = field(default_factory=ActivationMethod)
    layers: tuple[LayerMethod, ...] = ()
    blending: BlendingSchedule = field(default_factory=BlendingSchedule)
    ewgs: DeltaSchedule = field(default_factory=DeltaSchedule)
    distillation: Distillation = field(default_factory=Distillation)
    # Whatever tells files apart is in their SHA-256.
    source: ModelSource | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        _require_not_negative("Recipe", self, "seed", "shift")
        _require_positive("Recipe", self, "batch", "threads")
        own = self.source
        if own and (own.model, own.sha256) != (self.model, self.model_sha256):
            raise ValueError(f"Recipe model must be its source's, {own.model}, not {self.model}")
        if not 0 < self.crop <= 1:
            raise ValueError(f"Recipe crop must be above 0 and at most 1, not {self.crop!r}")
        for key in ("name", "dataset", "model"):
            if not getattr(self, key):
                raise ValueError(f"Recipe {key} must not be empty")
        if (self.pretrain is None) == (self.pretrained is None):
            raise ValueError(
                "Recipe must have a table [pretrain] or a table [pretrained], not "
                f"{'both' if self.pretrain else 'none'}"
            )
        restricted = self.precision.multipliers is Multipliers.HALF_OCTAVE
        if restricted and self.activations.quantizer is ActivationKind.ASQ:
            raise ValueError(
                "Recipe precision multipliers must be integer with the quantizer asq, not "
                "half_octave: an adaptive step is a multiplier"
            )
        if EstimatorKind.BLENDING in self.method.estimators:
            if self.optimizer is not Optimizer.SGD:
                raise ValueError(
                    "Recipe optimizer must be sgd with the estimator ab, not "
                    f"{self.optimizer.value}: its steps do not depend on the size of the gradient, "
                    "which cancels the factor 1 - alpha"
                )
            if not self.weights.clip:
                raise ValueError(
                    "Recipe weights clip must be true with the estimator ab, not false: "
                    "its gradient is never clipped"
                )

    @property
    def model_name(self) -> str:
        """What a table calls the network."""
        return self.model if self.source is None else self.source.name

    @property
    def pretrain_epochs(self) -> int:
        """Epochs of full-precision training; 0 where the weights are read from a file."""
        return 0 if self.pretrain is None else self.pretrain.epochs

    @property
    def exact_epochs(self) -> int:
        """Epochs of training behind the fine-tuning."""
        return 0 if self.exact is None else self.exact.epochs

    @property
    def epochs(self) -> int:
        """Epochs of all stages."""
        return self.pretrain_epochs + self.finetune.epochs + self.exact_epochs

    @property
    def method(self) -> Method:
        """How the layers are quantised, beside their precision."""
        return Method(weights=self.weights, activations=self.activations, layers=self.layers)


def recipe_names() -> list[str]:
    """Return the names of the recipes that come with Tritone."""
    folder = resources.files("tritone.qat") / "recipes"
    return sorted(
        entry.name.removesuffix(".toml")
        for entry in folder.iterdir()
        if entry.name.endswith(".toml")
    )


def load_recipe(name_or_path: str | Path) -> Recipe:
    """Return the recipe of that name, or the one in that .toml file.

    Raises
    ------
    ValueError : no such recipe, not TOML, an unknown or missing key, a value out of range; the file
        of the model is another one.
    FileNotFoundError : there is no file of the model.
    """
    if str(name_or_path) in recipe_names():
        source = resources.files("tritone.qat") / "recipes" / f"{name_or_path}.toml"
        return parse_recipe(source.read_text())
    path = Path(name_or_path)
    if path.suffix != ".toml" or not path.is_file():
        raise ValueError(
            f"Recipe must be one of {', '.join(recipe_names())} or a .toml file, "
            f"not {str(name_or_path)!r}"
        )
    return parse_recipe(path.read_text(), path.parent)


def parse_recipe(text: str, folder: Path = Path()) -> Recipe:
    """Return the recipe in a TOML text; errors are those of ``load_recipe``.

    Parameters
    ----------
    folder : that the file of the model is relative to.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"Recipe must be TOML: {error}") from error
    recipe = build_tables(Recipe, table, _APART)
    source = read_source(recipe.model, folder, recipe.model_sha256)
    if source is None:
        if recipe.model_sha256 is not None:
            raise ValueError(
                f"Recipe model must be FILE.py:NAME to have a model_sha256, not {recipe.model!r}"
            )
        return recipe
    return replace(recipe, model=source.model, model_sha256=source.sha256, source=source)


def render_recipe(recipe: Recipe) -> str:
    """Return the TOML text of a recipe: ``parse_recipe`` of it is the recipe again."""
    return render_tables(recipe, _APART)
