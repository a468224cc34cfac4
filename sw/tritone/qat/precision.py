# SPDX-License-Identifier: Apache-2.0
"""How many bits a network gets, and where."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from tritone.spec.catalog import codebook
from tritone.spec.fixed import ACTIVATION

__all__ = ["Multipliers", "Precision", "require_bits"]


class Multipliers(Enum):
    """What the requantiser multiplies each channel by."""

    INTEGER = "integer"  # 16 bits
    HALF_OCTAVE = "half_octave"  # a power of sqrt 2: the weights' scale takes the remainder


def require_bits(thing: str, bits: int) -> None:
    """Raise ValueError unless activations can have ``bits``."""
    if not 1 <= bits <= ACTIVATION.bits:
        raise ValueError(f"{thing} must be in 1..{ACTIVATION.bits}, not {bits!r}")


@dataclass(frozen=True, kw_only=True)
class Precision:
    """Weight codebooks and activation widths.

    The edge layers are the one that reads the image and the one that makes the logits; they are
    integer too, but finer.

    Parameters
    ----------
    weights : codebook of the middle layers, a name in the catalog.
    act_bits : width of the activations that the middle layers read.
    edge_weights : codebook of the edge layers.
    edge_act_bits : width of the activations that the edge layers read.
    multipliers : of the requantiser, in all layers but the one that makes the logits.
    """

    weights: str
    act_bits: int
    edge_weights: str = "int8"
    edge_act_bits: int = ACTIVATION.bits
    multipliers: Multipliers = Multipliers.INTEGER

    def __post_init__(self) -> None:
        codebook(self.weights)
        codebook(self.edge_weights)
        for key in ("act_bits", "edge_act_bits"):
            require_bits(f"Precision {key}", getattr(self, key))

    @property
    def weight_bits(self) -> int:
        """Width of a weight code of the middle layers."""
        return codebook(self.weights).bits

    @property
    def method(self) -> str:
        """Family of the middle layers' codebook: its name without the width."""
        return self.weights.removesuffix(str(self.weight_bits))
