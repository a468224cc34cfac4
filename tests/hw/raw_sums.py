# SPDX-License-Identifier: Apache-2.0
"""What lanes of each kind of array hand to their adder trees, written out from docs/numerics.md."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tritone.spec.machine import ArrayKind, MachineConfig
from tritone.spec.pass_plan import PassPlan

__all__ = ["lane", "step_excess", "zero_sums"]


def lane(array: ArrayKind, code: int, nibble: int) -> tuple[int, int]:
    """Return what a lane with that code of weight memory adds to its even and its odd sum."""
    sign, odd, shift, exponent = code >> 3, code >> 2 & 1, code & 3, code & 7
    match array:
        case ArrayKind.UNIFORM:
            return nibble * (code - 16 * sign), 0
        case ArrayKind.POT:
            product = nibble << exponent
            return (0 if exponent == 7 else 1023 - product if sign else product), 0
        case ArrayKind.POST:
            product = nibble << shift
            if not odd:
                return (127 - product if sign else product), 0
            return 0, (0 if shift == 3 else 63 - product if sign else product)


def step_excess(machine: MachineConfig) -> int:
    """Return what a step adds to its even sum besides.

    With integers 8 times the largest number as wide as a sum of the largest nibbles of all rows.
    """
    if machine.array is not ArrayKind.UNIFORM:
        return 0
    return 8 * (2 ** (15 * machine.rows).bit_length() - 1)


def zero_sums(plan: PassPlan, index: int) -> list[npt.NDArray[np.int64]]:
    """Return what a lane adds to each rail in pass ``index`` of a plan to activations of 0.

    That is for each code of the codebook, and too much.
    """
    each = plan.passes[index]
    codes = (each.table[nibbles[each.plane]] for nibbles in plan.nibbles)
    return list(np.array([lane(plan.array, code, 0) for code in codes], np.int64).T)
