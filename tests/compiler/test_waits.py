# SPDX-License-Identifier: Apache-2.0
"""An instruction waits for what touches its words, and for nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from tritone.compiler.waits import find_waits
from tritone.spec.isa import PASS_STEP, RECORDS, Base, MemoryId, Opcode
from tritone.spec.machine import preset

TINY = preset("tiny-p2")


def _instruction(opcode: Opcode, **fields: int) -> tuple[Opcode, dict[str, int]]:
    return opcode, {field.name: 0 for field in RECORDS[opcode].fields} | fields


def _load(address: int, group: int = 0, **fields: int) -> Any:
    memory = MemoryId.FEATURE_1 if group else MemoryId.FEATURE_0
    return _instruction(
        Opcode.LOAD,
        **{"source": Base.IMAGE, "memory": memory, "address": address, "rows": 4, "row_words": 2}
        | fields,
    )


def _store(base: int, group: int = 1, **fields: int) -> Any:
    return _instruction(
        Opcode.STORE,
        **{"target": Base.RESULT, "group": group, "base": base, "rows": 4, "row_words": 2} | fields,
    )


def _pool(source: int, result: int, **fields: int) -> Any:
    """A layer from 8 words of group 0 to 8 of group 1."""
    sizes = {"in_channels": 1, "in_turn": 1, "out_channels": 1, "in_height": 4, "in_row_words": 2}
    sizes |= {"out_height": 4, "out_row_words": 2, "stored_rows": 4, "out_group": 1}
    return _instruction(Opcode.POOL, **sizes | {"in_base": source, "out_base": result} | fields)


NEXT = _instruction(Opcode.NEXT, target=0)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ([_load(0), _pool(0, 0), _store(0)], ["", "load layer store", "layer"]),
        # Beside all words that they touch, the next one too.
        ([_load(8), _pool(0, 0), _store(8)], ["", "layer", ""]),
        # One word is shared; the layer of the image before is still under way at the load.
        ([_load(7), _pool(0, 0)], ["layer", "load layer"]),
        ([_load(8), _pool(0, 0)], ["", "layer"]),
        # The same words of the other group.
        ([_load(0, group=1), _pool(0, 8)], ["", "layer"]),
        ([_load(0, group=1), _pool(0, 0)], ["layer", "load layer"]),
        # A shortcut in the output's group; its rows at stride 2.
        ([_load(20, group=1), _pool(0, 0, shortcut_groups=1, shortcut_base=16,
                                    shortcut_row_words=2)], ["layer", "load layer"]),
        ([_load(28, group=1), _pool(0, 0, shortcut_groups=1, shortcut_base=16,
                                    shortcut_row_words=2, shortcut_stride=1)],
         ["layer", "load layer"]),
        # Behind the last one that a layer has waited for there is nothing to wait for.
        ([_load(0), _pool(0, 0), _pool(0, 8)], ["layer", "load layer", "layer"]),
        # Parameters under way.
        ([_load(4, memory=MemoryId.PARAMETER, words=4), _pool(0, 0, parameter_base=7)],
         ["layer", "load layer"]),
        ([_load(4, memory=MemoryId.PARAMETER, words=4), _pool(0, 0, parameter_base=8)],
         ["", "layer"]),
        # What is stored behind the program and loaded from there: 4 rows of 3 pixels, 96 bytes.
        ([_store(8, target=Base.PROGRAM, offset=64, width=3),
          _load(8, source=Base.PROGRAM, offset=152, beats=4)], ["load", "store"]),
        ([_store(8, target=Base.PROGRAM, offset=64, width=3),
          _load(8, source=Base.PROGRAM, offset=160, beats=4)], ["", ""]),
    ],
)  # fmt: skip
def test_waits(code: list[Any], expected: list[str]) -> None:
    """What each instruction of a loop waits for."""
    flags = find_waits([*code, NEXT], TINY)
    names = [" ".join(kind for kind in ("load", "layer", "store") if each[f"wait_{kind}"])
             for each in flags]  # fmt: skip
    assert names == [*expected, ""]


@pytest.mark.parametrize(
    ("memory", "address", "packing", "waits"),
    [
        # 20 words of a plane of nibbles from 30 on, 10 of pairs and 5 of bits; its terms in word 3.
        (MemoryId.WEIGHT, 49, 0, 1),
        (MemoryId.WEIGHT, 50, 0, 0),
        (MemoryId.WEIGHT, 39, 1, 1),
        (MemoryId.WEIGHT, 40, 1, 0),
        (MemoryId.WEIGHT, 34, 2, 1),
        (MemoryId.WEIGHT, 35, 2, 0),
        (MemoryId.TERMS, 3, 1, 1),
        (MemoryId.TERMS, 4, 1, 0),
        (MemoryId.TERMS, 3, 0, 0),
    ],
)
def test_packed_weights(memory: MemoryId, address: int, packing: int, waits: int) -> None:
    """A layer waits for the memory words that hold its weights, and what these stand for."""
    _, fields = _pool(0, 0, weight_base=10, plane_words=20, group_words=20, terms=3)
    step = {"plane": 1, "nibble": 0, "shift": 0, "drain": 1, "packing": packing}
    fields |= {"opcode": Opcode.CONVOLVE, "pass_steps": 1, "steps": PASS_STEP.pack(step)}
    load = _load(address, memory=memory, words=1)
    flags = find_waits([load, (Opcode.CONVOLVE, fields), NEXT], TINY)
    assert (flags[1]["wait_load"], flags[0]["wait_layer"]) == (waits, waits)


def test_a_load_that_may_be_skipped_ends_no_other() -> None:
    """The last image skips the load of the next one, so the one before may be under way still."""
    code = [
        _load(0),
        _load(8, source=Base.NEXT_IMAGE),
        _pool(0, 0),
        NEXT,
    ]
    assert find_waits(code, TINY)[2]["wait_load"] == 1
    code[1] = _load(8)
    assert find_waits(code, TINY)[2]["wait_load"] == 0
