# SPDX-License-Identifier: Apache-2.0
"""What a recipe says about the quantisation of activations, beside their bits."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from tritone.qat.activations import ActivationQuantizer, EwgsQuantizer, PactQuantizer
from tritone.qat.adapters import AdaptiveQuantizer
from tritone.qat.estimators import EstimatorKind, build_estimator
from tritone.spec.fixed import ACTIVATION, STREAM, STREAMS

__all__ = ["ActivationKind", "ActivationMethod", "Dequantize", "build_activation_quantizer"]


class ActivationKind(Enum):
    """What is learnt about the range of a tensor."""

    LSQ = "lsq"  # a step, from all values
    PACT = "pact"  # a clip, from the values above it
    EWGS = "ewgs"  # bounds, from the values between them
    ASQ = "asq"  # a step that adapts to the image; LSQ where 8 bits are read


class Dequantize(Enum):
    """What a level read with an adaptive step is worth."""

    ADAPTED = "adapted"  # S * beta
    STEP = "step"  # S


@dataclass(frozen=True, kw_only=True)
class ActivationMethod:
    """How activations are quantised.

    Parameters
    ----------
    quantizer : of every tensor but the image and the logits.
    estimator : of the rounding on the consumers' grids; blending is for weights only.
    learn_lower : the quantizer ewgs learns its lower bound too, behind ReLUs.
    dequantize : of the quantizer asq.
    stream_bits : width of the codes of all tensors but the image and the logits, 8, or 12 with the
        quantizer asq, whose beta is in 1/4..4 then.
    weight_decay : L2 on the quantisers' parameters, as PACT has it on alpha.
    """

    quantizer: ActivationKind = ActivationKind.LSQ
    estimator: EstimatorKind = EstimatorKind.STE
    learn_lower: bool = False
    dequantize: Dequantize = Dequantize.ADAPTED
    stream_bits: int = STREAM.bits
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        if self.estimator is EstimatorKind.BLENDING:
            raise ValueError(
                "Recipe activations estimator must not be ab: the gradient of a layer would shrink "
                "by 1 - alpha for each layer behind it; blend weights only"
            )
        if not self.weight_decay >= 0:
            raise ValueError(
                f"Recipe activations weight_decay must not be negative, not {self.weight_decay!r}"
            )
        if self.stream_bits not in STREAMS:
            raise ValueError(
                f"Recipe activations stream_bits must be one of {', '.join(map(str, STREAMS))}, "
                f"not {self.stream_bits!r}"
            )
        for key, given, needs in (
            ("learn_lower", self.learn_lower, ActivationKind.EWGS),
            ("dequantize", self.dequantize is Dequantize.STEP, ActivationKind.ASQ),
            ("stream_bits", self.stream_bits != STREAM.bits, ActivationKind.ASQ),
        ):
            if given and self.quantizer is not needs:
                raise ValueError(
                    f"Recipe activations {key} must be left out without {needs.value}, "
                    f"not given with {self.quantizer.value}"
                )


def build_activation_quantizer(
    method: ActivationMethod,
    tensor: str,
    shape: tuple[int, int, int],
    bits: int,
    *,
    signed: bool = False,
    shared: bool = False,
    seed: int = 0,
) -> ActivationQuantizer:
    """Return a new quantiser of a tensor whose coarsest reader takes ``bits``.

    A signed tensor, one that is read with 8 bits, and those that are concatenated, which share it,
    have a fixed step with the quantizer asq.

    Parameters
    ----------
    seed : of what is random: the noise of the estimator, the first weights of an adapter.
    """
    estimator = build_estimator(method.estimator, seed, of_images=True)
    form = STREAMS[method.stream_bits]
    match method.quantizer:
        case ActivationKind.PACT:
            return PactQuantizer(bits, signed, estimator)
        case ActivationKind.EWGS:
            return EwgsQuantizer(bits, signed, estimator, method.learn_lower and not signed)
        case ActivationKind.ASQ if not (signed or shared) and bits < ACTIVATION.bits:
            adapted = method.dequantize is Dequantize.ADAPTED
            return AdaptiveQuantizer(tensor, shape, bits, estimator, adapted, form, seed)
        case _:
            return ActivationQuantizer(bits, signed, estimator, form)
