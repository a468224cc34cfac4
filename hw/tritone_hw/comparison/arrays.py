# SPDX-License-Identifier: Apache-2.0
"""The arrays that are compared, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tritone.spec.machine import ArrayKind, MachineConfig
from tritone_hw.array import Array, Unit
from tritone_hw.comparison.plane_units import IntegerPlaneUnit, MinifloatPlaneUnit
from tritone_hw.comparison.power_unit import PowerUnit
from tritone_hw.comparison.product_unit import ProductUnit

__all__ = ["ARRAYS", "ComparedArray"]

# Of the machine's own arrays, and of one for integers.
_EVEN_BITS = 20


@dataclass(frozen=True, kw_only=True)
class ComparedArray:
    """An array of 4-bit activations and weights.

    Parameters
    ----------
    codebook : the weights, as ``tritone.spec.catalog`` names them.
    passes : that it takes over them; the array's cost for a multiply-accumulate is that often.
    even_bits : of an accumulator, so that as many terms fit as in that of the machine.
    array : kind of the machine's own array.
    unit : makes its dot-product units instead; None: it is the machine's own array.
    """

    codebook: str
    passes: int = 1
    even_bits: int = _EVEN_BITS
    array: ArrayKind = ArrayKind.POST
    unit: Callable[[MachineConfig], Unit] | None = None

    def make(self, rows: int, columns: int, pixels: int) -> Array:
        """Return the array.

        Raises
        ------
        ValueError : a shape that no machine has.
        """
        machine = MachineConfig(
            name="array",
            rows=rows,
            columns=columns,
            pixels=pixels,
            requantizer_slots=4,  # that is not there
            even_bits=self.even_bits,
            odd_bits=self.even_bits - 1,
            array=self.array,
        )
        return Array(machine, self.unit)


# FP4's terms are up to 1.5 times, those of powers of two 8 times the others' 120.
ARRAYS = {
    "post": ComparedArray(codebook="post4"),
    "pot-2-pass": ComparedArray(codebook="pot4", passes=2, array=ArrayKind.POT),
    "pot": ComparedArray(codebook="pot4", even_bits=_EVEN_BITS + 3, unit=PowerUnit),
    "uniform-product": ComparedArray(codebook="int4", unit=ProductUnit),
    "uniform-plane": ComparedArray(codebook="int4", unit=IntegerPlaneUnit),
    "fp4-plane": ComparedArray(
        codebook="fp4_e2m1", even_bits=_EVEN_BITS + 1, unit=MinifloatPlaneUnit
    ),
}
