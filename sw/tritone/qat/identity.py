# SPDX-License-Identifier: Apache-2.0
"""Which runs are runs of the same setting: repeated with other seeds, they have a mean."""

from __future__ import annotations

import hashlib
import json
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from typing import Any

from tritone.qat.activation_method import ActivationKind, Dequantize
from tritone.qat.estimators import EstimatorKind
from tritone.qat.recipe import Recipe
from tritone.spec.fixed import STREAM

__all__ = ["describe_setting", "setting_digest"]

# Keys that say nothing about what is measured: a name, the repetition, the order of float sums, and
# what a SHA-256 tells: the place of weights, the file of a model.
_APART = {"": {"name", "seed", "threads", "source"}, "pretrained": {"file"}}

_DIGITS = 12


def setting_digest(recipe: Recipe) -> str:
    """Return 12 hexadecimal digits that two recipes share if they differ at most in their seed.

    Keys with their default values do not count, so a key that recipes get later changes nothing.
    """
    text = json.dumps(_given(recipe, ""), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]


def describe_setting(recipe: Recipe) -> dict[str, Any]:
    """Return what a table says of a setting beside model, codebook, bits and epochs.

    ``activations``: quantiser of the tensors, with rule, width of the codes and estimator where
    these are not the usual ones; ``multipliers``: of the requantiser; ``distillation``: weight of
    the teacher's part of the loss; ``arithmetic``: of the fine-tuning's convolutions.
    """
    method = recipe.activations
    words = [method.quantizer.value]
    if method.quantizer is ActivationKind.ASQ and method.dequantize is not Dequantize.ADAPTED:
        words.append(method.dequantize.value)
    if method.stream_bits != STREAM.bits:
        words.append(f"{method.stream_bits}-bit streams")
    if method.estimator is not EstimatorKind.STE:
        words.append(method.estimator.value)
    return {
        "activations": " ".join(words),
        "multipliers": recipe.precision.multipliers.value,
        "distillation": recipe.distillation.weight,
        "arithmetic": recipe.finetune.arithmetic.value,
    }


def _given(value: Any, path: str) -> Any:
    """Return as JSON what is not the default in ``value``, the part of a recipe at ``path``."""
    if isinstance(value, tuple):
        return [_given(each, path) for each in value]
    if not is_dataclass(value):
        return value.value if isinstance(value, Enum) else value
    kept = {}
    for field in fields(value):
        default = field.default
        if field.default_factory is not MISSING:
            default = field.default_factory()
        own = getattr(value, field.name)
        if own != default and field.name not in _APART.get(path, ()):
            kept[field.name] = _given(own, field.name)
    return kept
