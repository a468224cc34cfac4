# SPDX-License-Identifier: Apache-2.0
"""The arrays that are compared, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tritone.spec.machine import ArrayKind, MachineConfig
from tritone_hw.array import Array, Unit
from tritone_hw.comparison.minifloat_unit import MinifloatUnit
from tritone_hw.comparison.product_unit import ProductUnit

__all__ = ["ARRAYS", "ComparedArray"]

# Of the machine's own arrays for POST and for integers.
_EVEN_BITS = 20


@dataclass(frozen=True, kw_only=True)
class ComparedArray:
    """An array of 4-bit activations and weights, which takes one pass over them.

    Parameters
    ----------
    codebook : the weights, as ``tritone.spec.catalog`` names them.
    array : kind of the machine that has it, or whose sums it has.
    even_bits : of an accumulator, so that as many terms fit as in that of the machine.
    unit : makes its dot-product units; None: it is the machine's own array.
    """

    codebook: str
    array: ArrayKind
    even_bits: int = _EVEN_BITS
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
            array=self.array,
        )
        return Array(machine, self.unit)


# FP4's terms are up to 1.5 times, those of powers of two 8 times the others' 120.
ARRAYS = {
    "post": ComparedArray(codebook="post4", array=ArrayKind.POST),
    "pot": ComparedArray(codebook="pot4", array=ArrayKind.POT, even_bits=_EVEN_BITS + 3),
    "uniform-plane": ComparedArray(codebook="int4", array=ArrayKind.UNIFORM),
    "uniform-product": ComparedArray(codebook="int4", array=ArrayKind.UNIFORM, unit=ProductUnit),
    "fp4-plane": ComparedArray(
        codebook="fp4_e2m1",
        array=ArrayKind.UNIFORM,
        even_bits=_EVEN_BITS + 1,
        unit=MinifloatUnit,
    ),
}
