# SPDX-License-Identifier: Apache-2.0
"""Which layer gets what."""

from __future__ import annotations

import pytest

from tritone.qat.estimators import EstimatorKind
from tritone.qat.method import LayerChoice, LayerMethod, Method, WeightMethod
from tritone.qat.precision import Precision
from tritone.qat.scales import ScaleRule

PRECISION = Precision(weights="post4", act_bits=4)


def test_edges_keep_their_own_method() -> None:
    """The weights' method is that of the middle layers."""
    method = Method(
        weights=WeightMethod(estimator=EstimatorKind.EWGS, scale=ScaleRule.BOUNDS, clip=False)
    )
    assert method.choose(PRECISION, "a", edge=False) == LayerChoice(
        weights="post4",
        act_bits=4,
        estimator=EstimatorKind.EWGS,
        scale=ScaleRule.BOUNDS,
        clip=False,
        companding=0,
    )
    assert method.choose(PRECISION, "a", edge=True) == LayerChoice(
        weights="int8",
        act_bits=8,
        estimator=EstimatorKind.STE,
        scale=ScaleRule.LARGEST,
        clip=True,
        companding=0,
    )


def test_the_last_exception_that_says_something_counts() -> None:
    """Patterns are those of file names, and what is not said stays."""
    method = Method(
        layers=(
            LayerMethod(pattern="block2*", weights="int8", act_bits=8, clip=False),
            LayerMethod(pattern="*conv?", act_bits=3, estimator=EstimatorKind.NOISE),
        )
    )
    both = method.choose(PRECISION, "block2_conv1", edge=False)
    assert (both.weights, both.act_bits, both.estimator) == ("int8", 3, EstimatorKind.NOISE)
    assert (both.scale, both.clip) == (ScaleRule.PERCENTILE, False)
    assert method.choose(PRECISION, "block2_down", edge=False).act_bits == 8
    assert method.choose(PRECISION, "BLOCK2", edge=True).weights == "int8"
    assert method.choose(PRECISION, "BLOCK2", edge=False).weights == "post4"


def test_estimators() -> None:
    """Those of the weights and of the exceptions."""
    method = Method(layers=(LayerMethod(pattern="a", estimator=EstimatorKind.BLENDING),))
    assert method.estimators == {EstimatorKind.STE, EstimatorKind.BLENDING}


def test_refuses_exceptions_for_nothing() -> None:
    """A pattern that matches no layer is a mistake; the layers are listed."""
    method = Method(layers=(LayerMethod(pattern="a*"), LayerMethod(pattern="conv")))
    method.require_layers(["a1", "conv"])
    message = r"^Recipe layers pattern must match one of a1, conv2, not 'conv'$"
    with pytest.raises(ValueError, match=message):
        method.require_layers(["a1", "conv2"])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"pattern": ""}, r"^Recipe layers pattern must not be empty$"),
        ({"pattern": "a", "weights": "post9"}, r"^Codebook must be one of .*, not 'post9'$"),
        (
            {"pattern": "a", "companding": 1},
            r"^Recipe companding must be 0 or in 2\.\.8, not 1$",
        ),
        ({"pattern": "a", "act_bits": 9}, r"^Recipe layers act_bits must be in 1\.\.8, not 9$"),
    ],
)
def test_refuses_values(values: dict[str, object], message: str) -> None:
    """One line that names the key."""
    with pytest.raises(ValueError, match=message):
        LayerMethod(**values)  # type: ignore[arg-type]  # wrong values on purpose
