# SPDX-License-Identifier: Apache-2.0
"""What a walk adds to the raw accumulators, from weight nibbles and a lookup table.

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
from tritone.spec.codebook import ARRAY_CONTROL
from tritone.spec.fixed import EVEN_TERM, NIBBLE_BITS, ODD_TERM, FixedFormat

__all__ = ["Operand", "decode_operand"]

Floats = npt.NDArray[np.float64]

_RAILS: tuple[tuple[str, FixedFormat], ...] = (("even", EVEN_TERM), ("odd", ODD_TERM))


@dataclass(frozen=True)
class Operand:
    """Of each rail: factors (lane of the walk, output channel), constants (output channel)."""

    factors: tuple[Floats, Floats]
    constants: tuple[Floats, Floats]


def _table(words: Bytes) -> list[tuple[Floats, Floats]]:
    """Return for each rail the factor and the constant of each table entry."""
    entries = [ARRAY_CONTROL.unpack(int(word)) for word in words]
    rails = []
    for name, form in _RAILS:
        factor, constant = np.zeros(len(entries)), np.zeros(len(entries))
        for index, entry in enumerate(entries):
            if not entry[name]:
                continue
            if entry["even"] and entry["odd"]:
                raise ValueError(f"Table entry {index} must use one rail, not both")
            if entry["shift"] + NIBBLE_BITS > form.bits:
                raise ValueError(
                    f"Table entry {index} must shift the {name} rail by at most "
                    f"{form.bits - NIBBLE_BITS}, not {entry['shift']}"
                )
            factor[index] = -(1 << entry["shift"]) if entry["sign"] else 1 << entry["shift"]
            constant[index] = form.high if entry["sign"] else 0
        rails.append((factor, constant))
    return rails


def decode_operand(
    weights: Bytes, tables: Bytes, fields: Mapping[str, int], step: Mapping[str, int]
) -> Operand:
    """Return the operand of a pass step of the layer ``fields``.

    Parameters
    ----------
    weights : weight memory, a nibble an element: (word, column, row).
    tables : table memory, (word, entry).
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
    table = fields["table_base"] + step["table"]
    if table >= len(tables):
        raise ValueError(f"Layer must use {len(tables)} lookup tables, not {table + 1}")
    # (output group, word of the walk, column, row) -> (word of the walk, row; output group, column)
    groups, columns, rows = len(words), weights.shape[1], weights.shape[2]
    nibbles = weights[words].transpose(1, 3, 0, 2).reshape(walk * rows, groups * columns)
    (even, even_constant), (odd, odd_constant) = _table(tables[table])
    return Operand(
        (even[nibbles], odd[nibbles]),
        (even_constant[nibbles].sum(axis=0), odd_constant[nibbles].sum(axis=0)),
    )
