# SPDX-License-Identifier: Apache-2.0
"""What a recipe says about the quantisation of each layer, beside its codebook and bits."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from tritone.qat.activation_method import ActivationMethod
from tritone.qat.estimators import EstimatorKind
from tritone.qat.precision import Precision, require_bits
from tritone.qat.scales import ScaleRule
from tritone.spec.catalog import codebook

__all__ = ["LayerChoice", "LayerMethod", "Method", "WeightMethod"]


def _require_companding(bits: int) -> None:
    if bits and not 2 <= bits <= 8:
        raise ValueError(f"Recipe companding must be 0 or in 2..8, not {bits!r}")


@dataclass(frozen=True, kw_only=True)
class WeightMethod:
    """How the weights of the middle layers are quantised.

    Parameters
    ----------
    estimator : what training has in the place of the rounding's gradient.
    scale : of the levels.
    clip : weights outside of the levels' range get no gradient.
    companding : width of learnt levels (LCQ), 2 to 8, rounded to those of the codebook; 0: none.
    """

    estimator: EstimatorKind = EstimatorKind.STE
    scale: ScaleRule = ScaleRule.PERCENTILE
    clip: bool = True
    companding: int = 0

    def __post_init__(self) -> None:
        _require_companding(self.companding)


@dataclass(frozen=True, kw_only=True)
class LayerMethod:
    """What is different in some layers.

    Parameters
    ----------
    pattern : of their names, with ``*`` and ``?`` as in file names.
    weights : codebook.
    act_bits : width of the activations that they read.
    estimator, scale, clip, companding : as in WeightMethod.
    """

    pattern: str
    weights: str | None = None
    act_bits: int | None = None
    estimator: EstimatorKind | None = None
    scale: ScaleRule | None = None
    clip: bool | None = None
    companding: int | None = None

    def __post_init__(self) -> None:
        if not self.pattern:
            raise ValueError("Recipe layers pattern must not be empty")
        if self.weights is not None:
            codebook(self.weights)
        if self.act_bits is not None:
            require_bits("Recipe layers act_bits", self.act_bits)
        _require_companding(self.companding or 0)


@dataclass(frozen=True, kw_only=True)
class LayerChoice:
    """All that one layer is quantised with."""

    weights: str
    act_bits: int
    estimator: EstimatorKind
    scale: ScaleRule
    clip: bool
    companding: int


@dataclass(frozen=True, kw_only=True)
class Method:
    """The quantisation of a network.

    The edge layers have 8 bits and a learnt scale that starts at the largest weight, with the
    straight-through estimator, whatever the middle layers have; only ``layers`` changes them.

    Parameters
    ----------
    weights : of the middle layers.
    activations : of all tensors but the image and the logits.
    layers : exceptions; where several match a layer the last one that says something counts.
    """

    weights: WeightMethod = WeightMethod()
    activations: ActivationMethod = field(default_factory=ActivationMethod)
    layers: tuple[LayerMethod, ...] = ()

    def choose(self, precision: Precision, name: str, edge: bool) -> LayerChoice:
        """Return what the layer of that name gets."""
        values = (
            {
                "weights": precision.edge_weights,
                "act_bits": precision.edge_act_bits,
                **vars(WeightMethod(scale=ScaleRule.LARGEST)),
            }
            if edge
            else {
                "weights": precision.weights,
                "act_bits": precision.act_bits,
                **vars(self.weights),
            }
        )
        for layer in self.layers:
            if fnmatchcase(name, layer.pattern):
                values |= {
                    key: value
                    for key, value in vars(layer).items()
                    if key != "pattern" and value is not None
                }
        return LayerChoice(**values)

    def require_layers(self, names: Iterable[str]) -> None:
        """Raise ValueError where a pattern matches none of the layers."""
        known = list(names)
        for layer in self.layers:
            if not any(fnmatchcase(name, layer.pattern) for name in known):
                raise ValueError(
                    f"Recipe layers pattern must match one of {', '.join(known)}, "
                    f"not {layer.pattern!r}"
                )

    @property
    def estimators(self) -> set[EstimatorKind]:
        """All estimators that it names."""
        named = {layer.estimator for layer in self.layers}
        named |= {self.weights.estimator, self.activations.estimator}
        return {kind for kind in named if kind is not None}
