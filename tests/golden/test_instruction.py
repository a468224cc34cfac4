# SPDX-License-Identifier: Apache-2.0
"""Instructions are taken apart; those that mean nothing are refused by their index."""

from __future__ import annotations

from typing import Any

import pytest

from tritone.golden.instruction import decode, pass_steps
from tritone.spec.isa import LAYER, NEXT, Opcode
from tritone.spec.machine import preset

TINY = preset("tiny")
ONES = "in_channels in_width in_height in_turn out_width out_height out_channels stored_rows"
ONES += " kernel_height kernel_width stride pass_steps"
BLANK: dict[str, Any] = dict.fromkeys((field.name for field in LAYER.fields), 0)
PLAIN = BLANK | dict.fromkeys(ONES.split(), 1) | {"opcode": Opcode.POOL, "steps": 1 << 5}


def test_fields() -> None:
    """Opcode and fields of the record that belongs to it."""
    assert decode(3, LAYER.pack(PLAIN), TINY) == (Opcode.POOL, PLAIN)
    fields = {field.name: 0 for field in NEXT.fields} | {"opcode": Opcode.NEXT, "target": 7}
    assert decode(0, NEXT.pack(fields), TINY) == (Opcode.NEXT, fields)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"in_turn": 0}, r"^Instruction 3 must have sizes of at least 1 .*, not in_turn 0$"),
        ({"stride": 3}, r"^Instruction 3 must have sizes .* a stride of 1 or 2, not 3$"),
        ({"shortcut_groups": 1}, r"^Instruction 3 must read its shortcut from another group than"),
        ({"adaptation": 2}, r"^Instruction 3 must have no adaptive step .*, not STEP$"),
    ],
)
def test_layers_that_mean_nothing(changes: dict[str, int], message: str) -> None:
    """Each with its own message; an adaptive machine has adaptive steps."""
    word = LAYER.pack(PLAIN | changes)
    with pytest.raises(ValueError, match=message):
        decode(3, word, TINY)
    if "adaptation" in changes:
        assert decode(3, word, preset("tiny-asq"))[1]["adaptation"] == 2


def test_packed_weights() -> None:
    """A machine that unpacks them takes both forms, no other one; any other machine none."""
    packed = preset("tiny-packed")
    for form, machine, most in ((1, TINY, 0), (2, TINY, 0), (3, packed, 2)):
        word = LAYER.pack(PLAIN | {"steps": 1 << 5 | form << 14})
        message = (
            rf"^Instruction 3 must have packings of at most {most} on this machine, not {form}$"
        )
        with pytest.raises(ValueError, match=message):
            decode(3, word, machine)
    for form in (1, 2):
        assert decode(3, LAYER.pack(PLAIN | {"steps": 1 << 5 | form << 6}), packed)


def test_opcodes() -> None:
    """Cleared memory is none."""
    with pytest.raises(ValueError, match=r"^Instruction 5 must have a known opcode, not 0$"):
        decode(5, 0, TINY)


def test_pass_steps() -> None:
    """As many as the layer says; the last one drains."""
    fields = PLAIN | {"pass_steps": 2, "steps": 1 << 5 | 1 << 2 | 0b100000 << 8}
    assert [step["nibble"] for step in pass_steps(fields)] == [1, 0]
    with pytest.raises(ValueError, match=r"^Layer must drain with its last pass step$"):
        pass_steps(PLAIN | {"steps": 0})
    with pytest.raises(ValueError, match=r"^Layer must have 1\.\.8 pass steps, not 9$"):
        pass_steps(PLAIN | {"pass_steps": 9})
