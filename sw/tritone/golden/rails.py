# SPDX-License-Identifier: Apache-2.0
"""What a walk adds to the raw accumulators, from the codes in weight memory.

A lane adds ``n << s`` to its rail, or the complement ``mask - (n << s)`` for a negative term, the
mask being as wide as the rail's terms; on an array of integers it adds ``n * w``, and each step the
complement of the highest place. For all lanes of a walk that is a product of matrices, ``n @
factors + constants``, in which every value is an integer that a float64 holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tritone.golden.dump import Bytes
from tritone.spec.array_code import ARRAY_CODES, CODE_LEVELS
from tritone.spec.fixed import EVEN_TERM, NIBBLE_BITS, ODD_TERM, POWER_TERM
from tritone.spec.machine import ArrayKind
from tritone.spec.packing import TERMS, Packing

__all__ = ["Operand", "decode_operand"]

Floats = npt.NDArray[np.float64]

# The mask of each rail.
_MASKS = {
    ArrayKind.POST: (EVEN_TERM.high, ODD_TERM.high),
    ArrayKind.UNIFORM: (0, 0),
    ArrayKind.POT: (POWER_TERM.high, 0),
}


@dataclass(frozen=True)
class Operand:
    """Of each rail: factors (lane of the walk, output channel), constants (output channel)."""

    factors: tuple[Floats, Floats]
    constants: tuple[Floats, Floats]


def _terms(kind: ArrayKind) -> list[tuple[Floats, Floats]]:
    """Return for each rail the factor and the constant of each code."""
    codes = range(1 << ARRAY_CODES[kind].bits)
    rails = []
    for odd, mask in enumerate(_MASKS[kind]):
        levels = (CODE_LEVELS[kind][code] for code in codes)
        factor = np.array([level.odd if odd else level.even for level in levels], np.float64)
        rails.append((factor, np.where(factor < 0, mask, 0).astype(np.float64)))
    return rails


def _of_step(kind: ArrayKind, rows: int) -> int:
    """Return what a step adds to the even accumulators whatever its weights are.

    The sum of the nibbles whose weights are negative counts -8 and is added inverted, as wide as
    all nibbles together can make it.
    """
    if kind is not ArrayKind.UNIFORM:
        return 0
    widest = rows * ((1 << NIBBLE_BITS) - 1)
    return ((1 << widest.bit_length()) - 1) << (NIBBLE_BITS - 1)


def _walked(
    weights: Bytes, fields: Mapping[str, int], step: Mapping[str, int], terms: int
) -> Bytes:
    """Return the term codes of a pass step: (output group, word of the walk, column, row)."""
    walk = fields["kernel_height"] * fields["kernel_width"] * fields["in_channels"]
    group = np.arange(fields["out_channels"])[:, None] * fields["group_words"]
    packing = Packing(step["packing"])
    word, part = np.divmod(group + np.arange(walk), packing.words)
    word += fields["weight_base"] + step["plane"] * fields["plane_words"]
    if int(word.max()) >= len(weights):
        raise ValueError(f"Layer must read {len(weights)} weight words, not {int(word.max()) + 1}")
    nibbles: Bytes = weights[word]
    place = part[..., None, None].astype(np.uint8)
    low = nibbles >> place & 1
    match packing:
        case Packing.NIBBLES:
            return nibbles
        case Packing.PAIRS:
            high = nibbles >> place + 2 & 1
        case Packing.BITS:
            high = np.zeros_like(low)
    meaning = TERMS.unpack(terms)
    base, one, two = (meaning[f"plane{step['plane']}_{name}"] for name in ("base", "low", "high"))
    return np.asarray(base ^ low * one ^ high * two, np.uint8)


def decode_operand(
    kind: ArrayKind,
    weights: Bytes,
    fields: Mapping[str, int],
    step: Mapping[str, int],
    terms: int = 0,
) -> Operand:
    """Return the operand of a pass step of the layer ``fields``.

    Parameters
    ----------
    kind : of the array.
    weights : weight memory, a nibble an element: (word, column, row).
    terms : TERMS record of the layer; packed weights have one.
    """
    # (output group, word of the walk, column, row) -> (word of the walk, row; output group, column)
    walked = _walked(weights, fields, step, terms)
    groups, walk, columns, rows = walked.shape
    codes = walked.transpose(1, 3, 0, 2).reshape(walk * rows, groups * columns)
    (even, even_constant), (odd, odd_constant) = _terms(kind)
    of_walk = walk * _of_step(kind, rows)
    return Operand(
        (even[codes], odd[codes]),
        (even_constant[codes].sum(axis=0) + of_walk, odd_constant[codes].sum(axis=0)),
    )
