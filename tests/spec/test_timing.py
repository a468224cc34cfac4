# SPDX-License-Identifier: Apache-2.0
"""The cycle model against a walk through the cycles; the engine's tests compare the two."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tritone.spec import timing
from tritone.spec.isa import LAYER, PASS_STEP, Adaptation, Opcode
from tritone.spec.machine import ArrayKind, MachineConfig, RequantizerKind, preset

TINY_P2 = preset("tiny-p2")


def layer(opcode: Opcode, drains: tuple[bool, ...], **fields: int) -> dict[str, int]:
    """Return a layer with a pass step for each entry of ``drains``."""
    blank = dict.fromkeys(("plane", "nibble", "shift", "packing"), 0)
    steps = sum(
        PASS_STEP.pack({**blank, "drain": drain}) << PASS_STEP.bits * index
        for index, drain in enumerate(drains)
    )
    ones = ("in_channels", "out_width", "out_height", "out_channels", "kernel_height")
    return {
        **dict.fromkeys((field.name for field in LAYER.fields), 0),
        **dict.fromkeys((*ones, "kernel_width"), 1),
        "opcode": opcode,
        "pass_steps": len(drains),
        "steps": steps,
        **fields,
    }


LAYERS = [
    layer(Opcode.CONVOLVE, (True,), kernel_height=3, kernel_width=3, out_width=5, out_height=4),
    layer(Opcode.CONVOLVE, (False, True, True), in_channels=3, out_width=8, out_channels=3),
    layer(Opcode.CONVOLVE, (True, False, False, True), kernel_height=2, in_channels=5),
    layer(Opcode.POOL, (True,), kernel_height=2, kernel_width=2, out_width=3, out_channels=2),
]


def walked(machine: MachineConfig, fields: dict[str, int]) -> tuple[int, int]:
    """Return (steps, cycles) of a layer by taking its steps one after the other."""
    cycle = timing.START
    steps = 0
    drained = cycle - 1
    for _ in range(fields["out_channels"] * fields["out_height"]):
        for _ in range(0, fields["out_width"], machine.pixels):
            for index in range(fields["pass_steps"]):
                drains = fields["steps"] >> 8 * index & 32
                walk = fields["kernel_height"] * fields["kernel_width"] * fields["in_channels"]
                for number in range(walk):
                    if drains and number == walk - 1:
                        cycle = max(cycle, drained + machine.requantizer_slots)
                        drained = cycle
                    steps += 1
                    cycle += 1
    return steps, cycle


@pytest.mark.parametrize("machine", [preset("tiny"), TINY_P2, preset("full")], ids=str)
@pytest.mark.parametrize("fields", LAYERS, ids=range(len(LAYERS)))
def test_cycles_are_those_of_the_steps_and_their_pace(
    machine: MachineConfig, fields: dict[str, int]
) -> None:
    opcode = Opcode(fields["opcode"])
    steps, cycles = walked(machine, fields)
    assert timing.layer_cycles(machine, fields) == cycles + timing.flush(machine, opcode)
    assert timing.array_cycles(machine, fields) == (steps if opcode is Opcode.CONVOLVE else 0)


def test_an_example_by_hand() -> None:
    """3 tiles across, 4 rows, 9 steps each: 108 steps, none of which waits."""
    assert timing.drain_steps(LAYERS[0]) == (9,)
    assert timing.drain_steps(LAYERS[1]) == (6, 3)
    assert timing.array_cycles(TINY_P2, LAYERS[0]) == 108
    flush = timing.flush(TINY_P2, Opcode.CONVOLVE)
    assert timing.layer_cycles(TINY_P2, LAYERS[0]) == timing.START + 108 + flush
    # One tile of two drains of 6 and 3 steps; the second takes the 8 cycles of the requantiser.
    assert timing.layer_cycles(TINY_P2, LAYERS[1] | {"out_width": 1, "out_channels": 1}) == (
        timing.START + 8 + 8 + flush
    )


def test_adaptive_steps_take_longer() -> None:
    """A cycle for the product with G in every layer; a bit of the reciprocal a cycle for a beta."""
    adaptive = preset("tiny-asq")
    for fields in LAYERS:
        cycles = timing.layer_cycles(TINY_P2, fields)
        assert timing.layer_cycles(adaptive, fields) == cycles + 1
        for adaptation in Adaptation:
            changed = fields | {"adaptation": adaptation}
            more = 10 if adaptation is Adaptation.BETA else 0
            assert timing.layer_cycles(adaptive, changed) == cycles + 1 + more
            # The last result is written as early as ever.
            use = timing.PortUse(adaptive, changed | {"in_group": 0, "out_group": 1})
            assert use.writes(cycles)


def test_flush_grows_with_the_pipeline() -> None:
    """A pool skips the array; twice the rows are a level more in its trees."""
    assert timing.flush(TINY_P2, Opcode.POOL) < timing.flush(TINY_P2, Opcode.CONVOLVE)
    small, large = preset("tiny"), preset("ecp5_25")
    assert timing.array_latency(large) == timing.array_latency(small) + 1
    # Two cycles for the joints of bit planes instead of one for terms; two shifters in a row.
    for kind in (ArrayKind.UNIFORM, ArrayKind.POT):
        other = replace(small, array=kind)
        assert timing.array_latency(other) == timing.array_latency(small) + 1
        assert timing.flush(other, Opcode.POOL) == timing.flush(small, Opcode.POOL)
    assert timing.pool_latency(large) == timing.pool_latency(small)
    assert timing.requantizer_latency(large) == timing.requantizer_latency(small)
    half = replace(small, requantizer=RequantizerKind.HALF_OCTAVE)
    assert timing.requantizer_latency(half) == timing.requantizer_latency(small) + 1


@pytest.mark.parametrize(
    "machine", [preset("tiny"), TINY_P2, preset("full"), preset("tiny-asq")], ids=str
)
@pytest.mark.parametrize("fields", LAYERS, ids=range(len(LAYERS)))
@pytest.mark.parametrize("out_group", [0, 1])
def test_ports_are_used_by_steps_and_results(
    machine: MachineConfig, fields: dict[str, int], out_group: int
) -> None:
    """A read for each step, a write for each tile; the last write in the last cycle."""
    fields = fields | {"in_group": 0, "out_group": out_group}
    use = timing.PortUse(machine, fields)
    end = timing.layer_cycles(machine, fields)
    assert use.cycles == end
    cycles = range(end + 50)
    reads = [cycle for cycle in cycles if use.reads(0, cycle)]
    writes = [cycle for cycle in cycles if use.writes(cycle)]
    tiles = fields["out_channels"] * fields["out_height"]
    tiles *= -(-fields["out_width"] // machine.pixels)
    steps, _ = walked(machine, fields)
    assert (len(reads), len(writes)) == (steps, tiles)
    assert reads[0] >= timing.START
    assert writes[-1] == end - 1
    assert not any(use.reads(1, cycle) for cycle in cycles)


def test_shortcuts_are_read_for_the_groups_that_add_them() -> None:
    """Two of three output groups of 4 tiles; each tile's before its results are written."""
    fields = LAYERS[1] | {"in_group": 0, "out_group": 1, "shortcut_groups": 2}
    use = timing.PortUse(TINY_P2, fields)
    cycles = range(timing.layer_cycles(TINY_P2, fields))
    reads = [cycle for cycle in cycles if use.reads(1, cycle)]
    writes = [cycle for cycle in cycles if use.writes(cycle)]
    assert (len(reads), len(writes)) == (8, 12)
    assert len({write - read for read, write in zip(reads, writes, strict=False)}) == 1
    assert reads[0] < writes[0]
    # What reads them serves transfers from both groups.
    assert all(use.reads(0, cycle) for cycle in reads)
