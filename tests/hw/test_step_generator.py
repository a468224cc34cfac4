# SPDX-License-Identifier: Apache-2.0
"""The step generator against nested Python loops with multiplications."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from amaranth.sim import Simulator

from tritone.spec.isa import LAYER, PASS_STEP, Opcode
from tritone.spec.machine import MachineConfig
from tritone_hw.step_generator import StepGenerator

Fields = dict[str, int]


def machine(
    rows: int, columns: int, pixels: int, slots: int, packing: bool = False
) -> MachineConfig:
    return MachineConfig(
        name="small",
        rows=rows,
        columns=columns,
        pixels=pixels,
        requantizer_slots=slots,
        feature_words=512,
        weight_words=2048,
        parameter_words=128,
        packing=packing,
    )


def draw(rng: random.Random, opcode: Opcode, packings: int) -> tuple[Fields, list[Fields]]:
    """Return a layer with all addresses random, and its pass steps, of so many packings."""
    count = 1 if opcode is Opcode.POOL else rng.randrange(1, 9)
    steps = [
        {
            "plane": rng.randrange(4),
            "nibble": rng.randrange(2),
            "shift": rng.randrange(4),
            "drain": int(index == count - 1 or rng.random() < 0.4),
            "packing": rng.randrange(packings),
        }
        for index in range(count)
    ]
    layer = {field.name: rng.randrange(field.low, field.high + 1) for field in LAYER.fields}
    layer |= {
        "opcode": opcode,
        "in_channels": rng.randrange(1, 4),
        "out_width": rng.randrange(1, 12),
        "out_height": rng.randrange(1, 4),
        "out_channels": rng.randrange(1, 6),
        "in_turn": rng.randrange(1, 6),
        "kernel_height": rng.randrange(1, 4),
        "kernel_width": rng.randrange(1, 4),
        "stride": rng.randrange(1, 3),
        "shortcut_groups": rng.randrange(6),
        "pass_steps": count,
        "steps": sum(PASS_STEP.pack(step) << 8 * index for index, step in enumerate(steps)),
    }
    return layer, steps


def shortcut(
    layer: Fields, shape: MachineConfig, group: int, y: int, first: int
) -> tuple[bool, int, bool]:
    """Return whether a tile adds, the word of the pixels it adds, and their half of the banks."""
    stride = 1 << layer["shortcut_stride"]
    word = layer["shortcut_base"] + group // shape.word_columns * layer["shortcut_plane_words"]
    word += stride * y * layer["shortcut_row_words"] + stride * first // shape.banks
    upper = stride * first % shape.banks >= shape.pixels
    return group < layer["shortcut_groups"], word % shape.feature_words, upper


def expected_steps(layer: Fields, steps: list[Fields], shape: MachineConfig) -> Iterator[Fields]:
    """Yield what each step must be: all addresses by their formulas in docs/machine.md."""
    pixels = shape.pixels
    clear = True
    for group in range(layer["out_channels"]):
        word, column_group = divmod(group, shape.word_columns)
        for y in range(layer["out_height"]):
            for first in range(0, layer["out_width"], pixels):
                drains = 0
                for index, step in enumerate(steps):
                    held = 1 << step["packing"]  # words of the walk in a memory word
                    walk = [
                        (ky, kx, k)
                        for ky in range(layer["kernel_height"])
                        for kx in range(layer["kernel_width"])
                        for k in range(layer["in_channels"])
                    ]
                    for number, (ky, kx, k) in enumerate(walk):
                        channel_word = group // layer["in_turn"] * layer["in_channels"] + k
                        in_y = y * layer["stride"] + ky - layer["pad_top"]
                        drain = bool(step["drain"]) and number == len(walk) - 1
                        fields = {
                            "clear": clear,
                            "drain": drain,
                            "x": first * layer["stride"] + kx - layer["pad_left"],
                            "y": in_y,
                            "row": layer["in_base"]
                            + channel_word * layer["in_plane_words"]
                            + in_y * layer["in_row_words"],
                            "nibble": step["nibble"],
                            "column_group": column_group,
                            "weight": layer["weight_base"]
                            + step["plane"] * layer["plane_words"]
                            + (group * layer["group_words"] + number) // held,
                            "part": (
                                step["packing"],
                                (group * layer["group_words"] + number) % 4,
                                step["plane"],
                            ),
                        }
                        if drain:
                            fields |= {
                                "shift": step["shift"],
                                "first": drains == 0,
                                "last": index == len(steps) - 1,
                                "parameter": layer["parameter_base"]
                                + group * shape.requantizer_slots,
                                "out_row": layer["out_base"]
                                + word * layer["out_plane_words"]
                                + y * layer["out_row_words"],
                                "out_x": first * (2 if layer["wide"] else 1),
                                "shortcut": shortcut(layer, shape, group, y, first),
                                "pixels": [first + p < layer["out_width"] for p in range(pixels)],
                                "end": group == layer["out_channels"] - 1
                                and y == layer["out_height"] - 1
                                and first + pixels >= layer["out_width"]
                                and index == len(steps) - 1,
                            }
                        # Addresses wrap where their memories end.
                        for name, words in (
                            ("row", shape.feature_words),
                            ("weight", shape.weight_words),
                            ("parameter", shape.parameter_words),
                            ("out_row", shape.feature_words),
                        ):
                            if name in fields:
                                fields[name] %= words
                        yield fields
                        clear = drain
                        drains += drain


@pytest.mark.parametrize(
    "shape",
    [
        machine(8, 8, 1, 8),
        machine(8, 8, 2, 4),
        machine(16, 4, 4, 4),
        machine(8, 4, 8, 4),
        machine(8, 8, 2, 4, packing=True),
    ],
    ids=lambda shape: f"{shape.rows}x{shape.columns}x{shape.pixels}{'-packed' * shape.packing}",
)
def test_steps_are_those_of_the_nested_loops(shape: MachineConfig) -> None:
    """Every field of every step, and the cycle of each: no gaps but those between drains."""
    rng = random.Random(shape.rows * shape.columns + shape.pixels)
    dut = StepGenerator(shape)

    def observed(ctx) -> Fields:
        step = ctx.get(dut.step)
        fields = {
            "clear": step.clear,
            "drain": step.drain,
            "x": step.position.x,
            "y": step.position.y,
            "row": step.position.row,
            "nibble": step.position.nibble,
            "column_group": step.column_group,
        }
        if step.drain:
            to = step.drained.destination
            fields |= {
                "shift": step.drained.shift,
                "first": step.drained.first,
                "last": step.drained.last,
                "parameter": step.drained.parameter,
                "out_row": to.row,
                "out_x": to.x,
                "shortcut": (
                    bool(step.drained.shortcut.wanted),
                    step.drained.shortcut.address,
                    bool(step.drained.shortcut.upper),
                ),
                "pixels": [bool(to.pixels >> p & 1) for p in range(shape.pixels)],
                "end": to.end,
            }
            assert to.column_group == step.column_group
        return fields

    async def bench(ctx) -> None:
        cycle = 0
        weights: dict[int, tuple[int, tuple[int, int, int]]] = {}  # cycle: address, part of it

        async def tick() -> None:
            nonlocal cycle
            await ctx.tick()
            cycle += 1
            if cycle in weights:
                word, part = weights.pop(cycle)
                assert ctx.get(dut.weight) == word
                if shape.packing:
                    found = ctx.get(dut.part)
                    assert (found.packing, found.word, found.plane) == part

        for opcode in (Opcode.CONVOLVE, Opcode.CONVOLVE, Opcode.POOL):
            layer, steps = draw(rng, opcode, 3 if shape.packing else 1)
            ctx.set(dut.layer, layer)
            ctx.set(dut.start, 1)
            await tick()
            ctx.set(dut.start, 0)
            for _ in range(StepGenerator.START - 1):
                assert not ctx.get(dut.valid)
                await tick()
            drained = cycle - 1
            for fields in expected_steps(layer, steps, shape):
                while fields["drain"] and cycle < drained + shape.requantizer_slots:
                    assert not ctx.get(dut.valid)
                    await tick()
                assert ctx.get(dut.valid)
                wanted = fields.pop("weight"), fields.pop("part")
                weights[cycle + StepGenerator.WEIGHT_LATENCY] = wanted
                assert observed(ctx) == fields
                if fields["drain"]:
                    drained = cycle
                await tick()
            for _ in range(20):
                assert not ctx.get(dut.valid)
                await tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


def test_machine_is_checked() -> None:
    with pytest.raises(TypeError, match=r"^Machine must be a MachineConfig, not 1$"):
        StepGenerator(1)
