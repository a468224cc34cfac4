# SPDX-License-Identifier: Apache-2.0
"""What the nibbles of weight memory mean to each kind of array.

A lane multiplies an activation by the level of its code. There are two rails, integers and integers
times sqrt 2; the levels say which an array has.
"""

from __future__ import annotations

from tritone.spec.fixed import NIBBLE_BITS
from tritone.spec.level import Level
from tritone.spec.machine import ArrayKind
from tritone.spec.record import Field, Record

__all__ = [
    "ARRAY_CODES",
    "CODE_LEVELS",
    "INTEGER_CODE",
    "POWER_CODE",
    "TERM_CODE",
    "ZERO_CODES",
]

TERM_CODE = Record(
    "term_code",
    NIBBLE_BITS,
    "What a lane of an array `post` does with an activation: a nibble of weight memory. Odd with "
    "shift 3 adds nothing.",
    (
        Field("shift", 2, "left shift of the activation"),
        Field("odd", 1, "adds to the odd rail, whose unit is sqrt 2, not to the even one"),
        Field("sign", 1, "negative"),
    ),
)
POWER_CODE = Record(
    "power_code",
    NIBBLE_BITS,
    "The same of an array `pot`. Exponent 7 adds nothing.",
    (
        Field("exponent", 3, "left shift of the activation"),
        Field("sign", 1, "negative"),
    ),
)
INTEGER_CODE = Record(
    "integer_code",
    NIBBLE_BITS,
    "The same of an array `uniform`.",
    (Field("weight", NIBBLE_BITS, "what the activation is multiplied by", signed=True),),
)

ARRAY_CODES = {
    ArrayKind.POST: TERM_CODE,
    ArrayKind.UNIFORM: INTEGER_CODE,
    ArrayKind.POT: POWER_CODE,
}


def _level(kind: ArrayKind, code: int) -> Level:
    fields = ARRAY_CODES[kind].unpack(code)
    match kind:
        case ArrayKind.POST:
            nothing = fields["odd"] and fields["shift"] == 3
            magnitude = Level(0, 1) if fields["odd"] else Level(1)
            magnitude <<= fields["shift"]
        case ArrayKind.POT:
            nothing = fields["exponent"] == 7
            magnitude = Level(1) << fields["exponent"]
        case ArrayKind.UNIFORM:
            return Level(fields["weight"])
    if nothing:
        return Level(0)
    return Level(0) - magnitude if fields["sign"] else magnitude


# The level of each code.
CODE_LEVELS: dict[ArrayKind, tuple[Level, ...]] = {
    kind: tuple(_level(kind, code) for code in range(1 << NIBBLE_BITS)) for kind in ArrayKind
}

# The code that is used where a lane adds nothing: the lowest one.
ZERO_CODES = {kind: levels.index(Level(0)) for kind, levels in CODE_LEVELS.items()}
