# SPDX-License-Identifier: Apache-2.0
"""Programs on the sequencer: order, waiting, dumps, and what stops it."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
from sequencer_surroundings import (
    BASES,
    DRAIN,
    DUMP,
    IMAGE_BYTES,
    KINDS,
    LAYER,
    LOAD,
    MACHINE,
    MOST,
    RESULT_BYTES,
    STORE,
    Surroundings,
    instruction,
    next_image,
)

from tritone.spec.isa import Base, MemoryId, Opcode
from tritone.spec.regmap import ErrorCode


@pytest.mark.parametrize("seed", range(3))
def test_a_program(seed: int, simulate: Any) -> None:
    """Requests come in the order of the program, with addresses that go on from image to image."""
    load = {
        "memory": MemoryId.FEATURE_1,
        "address": 5,
        "words": 9,
        "beats": 77,
        "width": 8,
        "rows": 7,
        "row_words": 6,
        "pixel_bytes": 3,
    }
    store = STORE | {"group": 1, "base": 9}
    layer = LAYER | {"out_base": 12, "low": -5, "weight_base": 321}
    program = [
        instruction(Opcode.CHECK, fingerprint=MACHINE.fingerprint),
        instruction(Opcode.LOAD, offset=0x300, **LOAD),
        instruction(Opcode.LOAD, source=Base.IMAGE, wait_layer=1, **load),
        instruction(Opcode.CONVOLVE, wait_load=1, **layer),
        instruction(Opcode.POOL, **layer),
        instruction(Opcode.STORE, target=Base.RESULT, offset=8, wait_layer=1, **store),
        next_image(2),
    ]
    around = Surroundings(program, seed)

    async def bench(ctx: Any) -> None:
        for _ in range(2):  # a second run is like the first
            around.events.clear()
            assert await around.run(ctx, images=3) is ErrorCode.NONE
            assert around.images == 3
            assert ctx.get(around.dut.instruction) == 6
            kinds = [kind for kind, _, _ in around.events]
            assert kinds == ["load", "load"] + ["load", "layer", "layer", "store"] * 3
            events = iter(around.events)
            whole = next(events)[1]
            assert (whole.program, whole.source, whole.beats) == (1, 0x1000, 8 * 7)
            weights = next(events)[1]
            assert (weights.program, weights.source, weights.beats) == (0, 0x1300, 4)
            for image in range(3):
                request = next(events)[1]
                assert request.source == BASES[Base.IMAGE] + image * IMAGE_BYTES
                assert {name: request[name] for name in load} == load
                for opcode in (Opcode.CONVOLVE, Opcode.POOL):
                    request = next(events)[1]
                    assert {name: request[name] for name in layer} == layer
                    assert request.opcode == opcode
                request = next(events)[1]
                assert request.target == BASES[Base.RESULT] + 8 + image * RESULT_BYTES
                region = {name: request.region[name] for name in (*STORE, "group", "base")}
                assert region == store

    around.simulate(simulate, bench)


@pytest.mark.parametrize("seed", range(4))
def test_waiting(seed: int, simulate: Any) -> None:
    """Each flag waits for its kind, an instruction always for its own; other things overlap."""
    rng = random.Random(seed)
    waits = [{kind for kind in KINDS if rng.random() < 0.3} for _ in range(40)]
    opcodes = [rng.choice((Opcode.LOAD, Opcode.STORE, Opcode.CONVOLVE)) for _ in waits]
    fields = {Opcode.LOAD: LOAD, Opcode.STORE: STORE, Opcode.CONVOLVE: LAYER}
    program = [
        instruction(opcode, **{f"wait_{kind}": 1 for kind in kinds}, **fields[opcode])
        for opcode, kinds in zip(opcodes, waits, strict=True)
    ]
    around = Surroundings([*program, next_image()], seed)
    own = {Opcode.LOAD: "load", Opcode.STORE: "store", Opcode.CONVOLVE: "layer"}
    overlaps = 0

    async def bench(ctx: Any) -> None:
        nonlocal overlaps
        assert await around.run(ctx) is ErrorCode.NONE
        events = around.events[1:]
        assert [kind for kind, _, _ in events] == [own[opcode] for opcode in opcodes]
        for (kind, _, working), kinds in zip(events, waits, strict=True):
            assert not working & (kinds | {kind})
            overlaps += bool(working)

    around.simulate(simulate, bench)
    assert overlaps > 3


def test_the_next_image_comes_beside_the_layers(simulate: Any) -> None:
    """NEXT waits for nothing, and the last image has none behind it; all ends before the run."""
    image = {"memory": MemoryId.FEATURE_0, "beats": 1, "width": 1, "rows": 1}
    program = [
        instruction(Opcode.LOAD, source=Base.IMAGE, **image),
        instruction(Opcode.CONVOLVE, wait_load=1, **LAYER),
        instruction(Opcode.LOAD, source=Base.NEXT_IMAGE, offset=IMAGE_BYTES, **image),
        instruction(Opcode.STORE, target=Base.RESULT, wait_layer=1, **STORE),
        next_image(1),
    ]
    around = Surroundings(program, cycles=(80, 81))

    async def bench(ctx: Any) -> None:
        assert await around.run(ctx, images=3) is ErrorCode.NONE
        assert around.images == 3
        events = around.events[1:]
        body = ["layer", "load", "store"]
        assert [kind for kind, *_ in events] == ["load", *body, *body, "layer", "store"]
        loads = [request.source for kind, request, _ in events if kind == "load"]
        assert loads == [BASES[Base.IMAGE] + image * IMAGE_BYTES for image in range(3)]
        stores = [request.target for kind, request, _ in events if kind == "store"]
        assert stores == [BASES[Base.RESULT] + image * RESULT_BYTES for image in range(3)]
        # The load comes beside its layer, the store and then the next layer beside the load.
        assert [working for _, _, working in events[1:6]] == [
            set(),
            {"layer"},
            {"load"},
            {"store"},
            {"layer", "store"},
        ]

    around.simulate(simulate, bench)


def test_dumps(simulate: Any) -> None:
    """Every layer's stored region goes out behind it, before anything else starts."""
    layers = [
        LAYER | {"out_group": 0, "out_base": 3, "out_width": 5, "stored_rows": 4},
        LAYER | {"out_group": 1, "out_base": 0, "out_width": 2, "stored_rows": 9, "wide": 1},
    ]
    program = [
        instruction(Opcode.CONVOLVE, out_row_words=3, **layers[0]),
        instruction(Opcode.POOL, out_row_words=1, **layers[1]),
        instruction(Opcode.STORE, target=Base.RESULT, **STORE),
        next_image(),
    ]
    around = Surroundings(program)

    async def bench(ctx: Any) -> None:
        assert await around.run(ctx, images=2, dump=True) is ErrorCode.NONE
        kinds = [kind for kind, _, _ in around.events]
        assert kinds == ["load"] + ["layer", "store", "layer", "store", "store"] * 2
        address = DUMP
        for image in range(2):
            first = around.events[1 + 5 * image :]
            for (_, request, working), layer, row_words, width in (
                (first[1], layers[0], 3, 5),
                (first[3], layers[1], 1, 4),
            ):
                region = request.region
                assert not working
                assert request.target == address
                assert region.group == layer["out_group"]
                assert region.base == layer["out_base"]
                assert (region.width, region.rows) == (width, layer["stored_rows"])
                assert region.row_words == row_words
                address += width * layer["stored_rows"] * MACHINE.rows
            assert first[4][1].target == BASES[Base.RESULT] + image * RESULT_BYTES

    around.simulate(simulate, bench)


BAD_LAYERS = [LAYER | {name: 0} for name in LAYER] + [LAYER | {"pass_steps": 9}]
# This machine has none.
ADAPTIVE_LAYERS = [LAYER | {"adaptation": kind} for kind in (1, 2, 3)]
PIXELS = LOAD | {"memory": MemoryId.FEATURE_0, "words": 0, "width": 4, "rows": 4}
WINDOWS = {"kernel": 3, "channels": 4, "stride": 2, "across": MACHINE.gather_width, "down": 1}
BAD_WINDOWS = [
    {"kernel": 1},
    {"channels": 0},
    {"channels": 5},
    {"stride": 0},
    {"across": 0},
    {"across": MACHINE.gather_width + 1},
    {"down": 0},
]
# Weights packed in pairs, in a step that runs and in one that does not; their terms.
PACKED_LAYERS = [LAYER | {"steps": DRAIN | 1 << place} for place in (6, 14, 63)]
LOAD_TERMS = LOAD | {"memory": MemoryId.TERMS}
ILLEGAL = [
    0,
    *range(7, 16),
    *(instruction(Opcode.CONVOLVE, **fields) for fields in BAD_LAYERS),
    instruction(Opcode.POOL, **(LAYER | {"stride": 3})),
    instruction(Opcode.CONVOLVE, **(LAYER | {"shortcut_groups": 1})),
    instruction(Opcode.CONVOLVE, **(LAYER | {"pass_steps": 8, "steps": DRAIN * 0x01010101010101})),
    *(instruction(Opcode.CONVOLVE, **fields) for fields in ADAPTIVE_LAYERS),
    *(instruction(Opcode.CONVOLVE, **fields) for fields in PACKED_LAYERS),
    instruction(Opcode.LOAD, **LOAD_TERMS),
    instruction(Opcode.LOAD, **(LOAD | {"beats": 0})),
    instruction(Opcode.LOAD, **(LOAD | {"words": 0})),
    instruction(Opcode.LOAD, **(LOAD | {"memory": 5})),
    instruction(Opcode.LOAD, **(LOAD | WINDOWS)),
    *(instruction(Opcode.LOAD, **(PIXELS | WINDOWS | fields)) for fields in BAD_WINDOWS),
    instruction(Opcode.LOAD, **(PIXELS | {"width": 0})),
    instruction(Opcode.LOAD, **(PIXELS | {"rows": 0})),
    instruction(Opcode.LOAD, **(PIXELS | {"pixel_bytes": 4})),
    instruction(Opcode.STORE, **(STORE | {"width": 0})),
    instruction(Opcode.STORE, **(STORE | {"rows": 0})),
    instruction(Opcode.STORE, **(STORE | {"target": 3})),
]


def test_illegal_instructions(simulate: Any) -> None:
    """Each stops the machine, with its index, when what runs has ended; nothing starts any more."""
    around = Surroundings([])
    before = [instruction(Opcode.LOAD, **LOAD), instruction(Opcode.CONVOLVE, **LAYER)]

    async def bench(ctx: Any) -> None:
        for bad in ILLEGAL:
            around.program = [*before, bad, before[0], next_image()]
            around.events.clear()
            assert await around.run(ctx) is ErrorCode.ILLEGAL_INSTRUCTION
            assert ctx.get(around.dut.instruction) == 2
            assert [kind for kind, _, _ in around.events] == ["load", "load", "layer"]
            assert around.images == 0
        pixels = [instruction(Opcode.LOAD, **PIXELS), instruction(Opcode.LOAD, **PIXELS, **WINDOWS)]
        around.program = [*pixels, *before, next_image()]
        assert await around.run(ctx) is ErrorCode.NONE

    around.simulate(simulate, bench)


def test_adaptive_machines_take_adaptive_steps(simulate: Any) -> None:
    """What has to do with one is an instruction like any other there."""
    layers = [instruction(Opcode.CONVOLVE, **fields) for fields in (LAYER, *ADAPTIVE_LAYERS)]
    around = Surroundings([*layers, next_image()], machine=replace(MACHINE, adaptive=True))

    async def bench(ctx: Any) -> None:
        assert await around.run(ctx) is ErrorCode.NONE
        assert [kind for kind, _, _ in around.events] == ["load", *["layer"] * 4]

    around.simulate(simulate, bench)


def test_packing_machines_take_packed_weights(simulate: Any) -> None:
    """And their terms; but no form of packing that there is not."""
    code = [instruction(Opcode.LOAD, **LOAD_TERMS)]
    code += [instruction(Opcode.CONVOLVE, **fields) for fields in PACKED_LAYERS]
    around = Surroundings([*code, next_image()], machine=replace(MACHINE, packing=True))

    async def bench(ctx: Any) -> None:
        assert await around.run(ctx) is ErrorCode.NONE
        assert [kind for kind, _, _ in around.events] == ["load", "load", *["layer"] * 3]
        wrong = instruction(Opcode.CONVOLVE, **(LAYER | {"steps": DRAIN | 3 << 14}))
        around.program = [wrong, next_image()]
        assert await around.run(ctx) is ErrorCode.ILLEGAL_INSTRUCTION

    around.simulate(simulate, bench)


def test_programs_that_cannot_run(simulate: Any) -> None:
    """Too long, empty, for another machine, without an end; one that fills the memory runs."""
    load = instruction(Opcode.LOAD, **LOAD)
    around = Surroundings([])

    async def bench(ctx: Any) -> None:
        for instructions in (0, MOST + 1, 2**32 - 1):
            assert await around.run(ctx, instructions=instructions) is ErrorCode.PROGRAM_TOO_LONG
        assert not around.events
        fingerprint = MACHINE.fingerprint
        for wrong in (fingerprint ^ 1, fingerprint ^ 1 << 63):
            around.program = [instruction(Opcode.CHECK, fingerprint=wrong), load, next_image()]
            assert await around.run(ctx) is ErrorCode.FINGERPRINT_MISMATCH
        around.program = [load, load]
        assert await around.run(ctx) is ErrorCode.ILLEGAL_INSTRUCTION
        around.program = [load, next_image(target=2)]
        assert await around.run(ctx, images=2) is ErrorCode.ILLEGAL_INSTRUCTION
        check = instruction(Opcode.CHECK, fingerprint=fingerprint)
        around.program = [check] * (MOST - 1) + [next_image()]
        assert await around.run(ctx) is ErrorCode.NONE

    around.simulate(simulate, bench)


def test_the_first_error_counts(simulate: Any) -> None:
    """What fails while the machine waits for the end does not change the code."""
    program = [instruction(Opcode.LOAD, **LOAD), instruction(Opcode.STORE, **STORE), 0]
    around = Surroundings(program, 0, fail_load=1, fail_store=0, cycles=(100, 101))

    async def bench(ctx: Any) -> None:
        assert await around.run(ctx) is ErrorCode.ILLEGAL_INSTRUCTION

    around.simulate(simulate, bench)


@pytest.mark.parametrize("dump", [False, True])
@pytest.mark.parametrize(
    ("fail_load", "fail_store", "code"),
    [
        (0, -1, ErrorCode.READ_ERROR),
        (1, -1, ErrorCode.READ_ERROR),
        (2, -1, ErrorCode.READ_ERROR),
        (-1, 0, ErrorCode.WRITE_ERROR),
        (-1, 1, ErrorCode.WRITE_ERROR),
    ],
)
def test_bus_errors(
    fail_load: int, fail_store: int, code: ErrorCode, dump: bool, simulate: Any
) -> None:
    """A failed transfer stops the run with its code; the run after it is whole."""
    program = [
        instruction(Opcode.LOAD, **LOAD),
        instruction(Opcode.CONVOLVE, **LAYER),
        instruction(Opcode.STORE, wait_layer=1, **STORE),
        instruction(Opcode.LOAD, **LOAD),
        instruction(Opcode.STORE, **STORE),
        next_image(),
    ]
    around = Surroundings(program, 1, fail_load, fail_store)

    async def bench(ctx: Any) -> None:
        assert await around.run(ctx, images=2, dump=dump) is code
        assert around.images < 2
        around.events.clear()
        assert await around.run(ctx, images=2) is ErrorCode.NONE
        assert len(around.events) == 1 + 2 * 5

    around.simulate(simulate, bench)
