# SPDX-License-Identifier: Apache-2.0
"""What a walk adds to the raw accumulators, from the term codes in weight memory.

A lane adds ``n << s`` to its rail, or the complement ``mask - (n << s)`` for a negative term, the
mask being as wide as the rail's terms. For all lanes of a walk that is a product of matrices, ``n @
factors + constants``, in which every value is an integer that a float64 holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tritone.golden.dump import Bytes
from tritone.spec.codebook import TERM_CODE
from tritone.spec.fixed import EVEN_TERM, NIBBLE_BITS, ODD_TERM, FixedFormat
from tritone.spec.machine import ArrayKind

__all__ = ["Operand", "decode_operand"]

Floats = npt.NDArray[np.float64]

_RAILS: tuple[FixedFormat, ...] = (EVEN_TERM, ODD_TERM)


@dataclass(frozen=True)
class Operand:
    """Of each rail: factors (lane of the walk, output channel), constants (output channel)."""

    factors: tuple[Floats, Floats]
    constants: tuple[Floats, Floats]


def _terms(kind: ArrayKind) -> list[tuple[Floats, Floats]]:
    """Return for each rail the factor and the constant of each TERM_CODE.

    A code of a rail that the array does not have adds nothing.
    """
    rails = []
    for odd, form in enumerate(_RAILS):
        factor, constant = np.zeros(1 << TERM_CODE.bits), np.zeros(1 << TERM_CODE.bits)
        for code in range(1 << TERM_CODE.bits):
            fields = TERM_CODE.unpack(code)
            if odd and kind is ArrayKind.POT:
                continue
            # What does not fit the odd rail is the code that adds nothing.
            if fields["odd"] == odd and fields["shift"] + NIBBLE_BITS <= form.bits:
                factor[code] = -(1 << fields["shift"]) if fields["sign"] else 1 << fields["shift"]
                constant[code] = form.high if fields["sign"] else 0
        rails.append((factor, constant))
    return rails


def decode_operand(
    kind: ArrayKind, weights: Bytes, fields: Mapping[str, int], step: Mapping[str, int]
) -> Operand:
    """Return the operand of a pass step of the layer ``fields``.

    Parameters
    ----------
    kind : of the array.
    weights : weight memory, a term code an element: (word, column, row).
    """
    walk = fields["kernel_height"] * fields["kernel_width"] * fields["in_channels"]
    first = (
        fields["weight_base"]
        + np.arange(fields["out_channels"])[:, None] * fields["group_words"]
        + step["plane"] * fields["plane_words"]
    )
    words = first + np.arange(walk)
    if int(words.max()) >= len(weights):
        raise ValueError(f"Layer must read {len(weights)} weight words, not {int(words.max()) + 1}")
    # (output group, word of the walk, column, row) -> (word of the walk, row; output group, column)
    groups, columns, rows = len(words), weights.shape[1], weights.shape[2]
    codes = weights[words].transpose(1, 3, 0, 2).reshape(walk * rows, groups * columns)
    (even, even_constant), (odd, odd_constant) = _terms(kind)
    return Operand(
        (even[codes], odd[codes]),
        (even_constant[codes].sum(axis=0), odd_constant[codes].sum(axis=0)),
    )
