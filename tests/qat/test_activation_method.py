# SPDX-License-Identifier: Apache-2.0
"""What a recipe says about activations."""

from __future__ import annotations

from typing import Any

import pytest

from tritone.qat.activation_method import (
    ActivationKind,
    ActivationMethod,
    Dequantize,
    build_activation_quantizer,
)
from tritone.qat.activations import ActivationQuantizer, EwgsQuantizer, PactQuantizer
from tritone.qat.adapters import AdaptiveQuantizer
from tritone.qat.estimators import ElementwiseScaling, EstimatorKind

SHAPE = (8, 2, 2)


@pytest.mark.parametrize(
    ("kind", "bits", "signed", "expected"),
    [
        (ActivationKind.LSQ, 4, True, ActivationQuantizer),
        (ActivationKind.PACT, 8, False, PactQuantizer),
        (ActivationKind.EWGS, 1, False, EwgsQuantizer),
        (ActivationKind.ASQ, 7, False, AdaptiveQuantizer),
        (ActivationKind.ASQ, 8, False, ActivationQuantizer),
        (ActivationKind.ASQ, 4, True, ActivationQuantizer),
    ],
)
def test_kinds(kind: ActivationKind, bits: int, signed: bool, expected: type) -> None:
    """Each kind has its quantiser; ASQ is LSQ where 8 bits are read, and on signed tensors."""
    method = ActivationMethod(quantizer=kind, estimator=EstimatorKind.EWGS)
    quantizer = build_activation_quantizer(method, "t", SHAPE, bits, signed=signed)
    assert type(quantizer) is expected
    assert (quantizer.bits, quantizer.zero) == (bits, 128 * signed)
    assert isinstance(quantizer.estimator, ElementwiseScaling)


def test_options() -> None:
    """The lower bound of EWGS and the dequantisation of ASQ reach their quantisers."""
    ewgs = ActivationMethod(quantizer=ActivationKind.EWGS, learn_lower=True)
    assert build_activation_quantizer(ewgs, "t", SHAPE, 4).learn_lower
    assert not build_activation_quantizer(ewgs, "t", SHAPE, 4, signed=True).learn_lower
    for each in Dequantize:
        asq = ActivationMethod(quantizer=ActivationKind.ASQ, dequantize=each)
        quantizer = build_activation_quantizer(asq, "t", SHAPE, 4)
        assert quantizer.adapted == (each is Dequantize.ADAPTED)
    fine = ActivationMethod(quantizer=ActivationKind.ASQ, stream_bits=12)
    for bits, signed in ((4, False), (8, False), (4, True)):
        quantizer = build_activation_quantizer(fine, "t", SHAPE, bits, signed=signed)
        assert quantizer.grid.form.bits == 12
        assert quantizer.zero == 2048 * signed


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"estimator": EstimatorKind.BLENDING},
            r"^Recipe activations estimator must not be ab: .*; blend weights only$",
        ),
        (
            {"weight_decay": -0.5},
            r"^Recipe activations weight_decay must not be negative, not -0\.5$",
        ),
        (
            {"learn_lower": True},
            r"^Recipe activations learn_lower must be left out without ewgs, not given with lsq$",
        ),
        (
            {"dequantize": Dequantize.STEP, "quantizer": ActivationKind.PACT},
            r"^Recipe activations dequantize must be left out without asq, not given with pact$",
        ),
        (
            {"stream_bits": 12},
            r"^Recipe activations stream_bits must be left out without asq, not given with lsq$",
        ),
        (
            {"stream_bits": 10, "quantizer": ActivationKind.ASQ},
            r"^Recipe activations stream_bits must be one of 8, 12, not 10$",
        ),
    ],
)
def test_refuses_what_has_no_meaning(change: dict[str, Any], message: str) -> None:
    """A key that does nothing, or harm, is an error."""
    with pytest.raises(ValueError, match=message):
        ActivationMethod(**change)
