# SPDX-License-Identifier: Apache-2.0
"""Recipes: everything that a training run depends on, as TOML."""

from __future__ import annotations

import tomllib
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from enum import Enum
from importlib import resources
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from tritone.qat.activation_method import ActivationKind, ActivationMethod
from tritone.qat.distillation import Distillation
from tritone.qat.estimators import EstimatorKind
from tritone.qat.method import LayerMethod, Method, WeightMethod
from tritone.qat.precision import Multipliers, Precision
from tritone.qat.pretrained import Pretrained
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

T = TypeVar("T")


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
    """

    epochs: int
    learning_rate: float
    quantizer_learning_rate: float
    weight_decay: float = 0.0
    norm_batches: int = 0
    schedule: Schedule = Schedule.COSINE

    def __post_init__(self) -> None:
        _require_positive(
            "Recipe finetune", self, "epochs", "learning_rate", "quantizer_learning_rate"
        )
        _require_not_negative("Recipe finetune", self, "weight_decay", "norm_batches")


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
    dataset, model : names.
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

    def __post_init__(self) -> None:
        _require_not_negative("Recipe", self, "seed", "shift")
        _require_positive("Recipe", self, "batch", "threads")
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
    ValueError : no such recipe, not TOML, an unknown or missing key, a value out of range.
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
    return parse_recipe(path.read_text())


def parse_recipe(text: str) -> Recipe:
    """Return the recipe in a TOML text."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"Recipe must be TOML: {error}") from error
    return _build(Recipe, table, "")


def _build(kind: type[T], table: dict[str, Any], prefix: str) -> T:
    """Return the dataclass ``kind`` of a table; ``prefix`` is the path of its keys."""
    hints = get_type_hints(kind)
    for key in table:
        if key not in hints:
            known = ", ".join(prefix + name for name in hints)
            raise ValueError(f"Recipe key must be one of {known}, not {prefix + key!r}")
    for each in fields(kind):  # type: ignore[arg-type]  # every kind is a dataclass
        needed = each.default is MISSING and each.default_factory is MISSING
        if needed and each.name not in table:
            raise ValueError(f"Recipe must have the key {prefix + each.name}")
    return kind(**{key: _value(hints[key], value, prefix + key) for key, value in table.items()})


def _value(kind: Any, value: Any, key: str) -> Any:
    if isinstance(kind, UnionType):
        (kind,) = (each for each in get_args(kind) if each is not NoneType)
    if get_origin(kind) is tuple:
        if not isinstance(value, list):
            raise TypeError(f"Recipe {key} must be tables [[{key}]], not {value!r}")
        return tuple(_value(get_args(kind)[0], each, key) for each in value)
    if issubclass(kind, Enum):
        choices = [choice.value for choice in kind]
        if value not in choices:
            raise ValueError(f"Recipe {key} must be one of {', '.join(choices)}, not {value!r}")
        return kind(value)
    if kind is float and type(value) is int:
        return float(value)
    if kind in (int, float, str, bool):
        if type(value) is not kind:
            raise TypeError(f"Recipe {key} must be of type {kind.__name__}, not {value!r}")
        return value
    if not isinstance(value, dict):
        raise TypeError(f"Recipe {key} must be a table, not {value!r}")
    return _build(kind, value, f"{key}.")


def render_recipe(recipe: Recipe) -> str:
    """Return the TOML text of a recipe: ``parse_recipe`` of it is the recipe again."""
    lines: list[str] = []
    sections: list[str] = []
    for key, value in vars(recipe).items():
        if is_dataclass(value):
            sections += _section(f"[{key}]", value)
        elif isinstance(value, tuple):
            for each in value:
                sections += _section(f"[[{key}]]", each)
        elif value is not None:
            lines.append(f"{key} = {_literal(value)}")
    return "\n".join([*lines, *sections, ""])


def _section(head: str, values: Any) -> list[str]:
    """Return the lines of a table; what is None is not there."""
    pairs = (f"{k} = {_literal(v)}" for k, v in vars(values).items() if v is not None)
    return ["", head, *pairs]


def _literal(value: Any) -> str:
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return repr(value)
