# SPDX-License-Identifier: Apache-2.0
"""The reader against a tensor indexed by coordinates and the formula of docs/numerics.md."""

from __future__ import annotations

import random

import pytest
from amaranth import Signal
from amaranth.sim import Simulator

from tritone.spec.isa import LAYER
from tritone.spec.machine import MachineConfig
from tritone_hw.activation_reader import ActivationReader, half
from tritone_hw.feature_memory import FeatureMemory

BLANK = dict.fromkeys((field.name for field in LAYER.fields), 0)


def machine(pixels: int, adaptive: bool = False) -> MachineConfig:
    return MachineConfig(
        name="small", rows=8, columns=4, pixels=pixels, requantizer_slots=4, adaptive=adaptive
    )


def activation(u: int, layer: dict[str, int]) -> int:
    r = layer["read_shift"]
    rounding = 1 << (r - 1) if r else 0
    a = layer["read_offset"] + (u - layer["read_zero"] + rounding >> r)
    return max(0, min(a, layer["read_max"]))


def adapted(u: int, layer: dict[str, int], gain: int) -> int:
    """Return the activation that is read with G; z is 0."""
    r = layer["read_shift"] + 8
    return max(0, min(u * gain + 2 ** (r - 1) >> r, layer["read_max"]))


def quantise_every_code(
    shape: MachineConfig, layers: list[tuple[dict[str, int], int | None]]
) -> None:
    """Read all codes, eight a cycle, in each of the layers, with its G or without one."""
    dut = ActivationReader(shape)
    latency = dut.latency

    async def bench(ctx) -> None:
        for layer, gain in layers:
            ctx.set(dut.layer, layer)
            if shape.adaptive:
                ctx.set(dut.gain, 256 if gain is None else gain)
            ctx.set(dut.position, {"x": 0, "y": 0, "row": 0, "nibble": 0})
            ctx.set(dut.valid, 1)
            for first in range(0, 256 + 16 * latency, 8):
                codes = [each % 256 for each in range(first, first + 8)]
                # Pixel 0 lies in bank 0; the other bank holds something else.
                ctx.set(dut.words, [codes, [255 - code for code in codes]])
                # Words are looked at three cycles behind the step and go on from there.
                behind = first - 8 * (latency - 3)
                if behind >= 0 and first >= 8 * latency:
                    seen = [u % 256 for u in range(behind, behind + 8)]
                    expected = [
                        activation(u, layer) if gain is None else adapted(u, layer, gain)
                        for u in seen
                    ]
                    for lane, a in enumerate(expected):
                        assert ctx.get(dut.activations[0][lane]) == a, (layer, gain, seen[lane])
                        assert ctx.get(dut.nibbles[0][lane]) == a & 15
                await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


def reading(r: int, zero: int, top: int) -> dict[str, int]:
    """Return a layer that reads one pixel with that shift, zero and largest activation."""
    return {
        **BLANK,
        "in_width": 1,
        "in_height": 1,
        "stride": 1,
        "read_shift": r,
        "read_zero": zero,
        "read_offset": zero >> r,
        "read_max": top,
    }


@pytest.mark.parametrize("adaptive", [False, True])
@pytest.mark.parametrize("r", range(8))
def test_every_code_is_quantised_by_the_formula(r: int, adaptive: bool) -> None:
    """Zeros z at both ends of their range and between; with a fixed step on both machines."""
    zeros = sorted({0, 1, 37, 128, 255, 1 << r, 256 - (1 << r)} & set(range(256)))
    layers = [(reading(r, zero, 255 >> r), None) for zero in zeros]
    quantise_every_code(machine(1, adaptive), layers)


@pytest.mark.parametrize("headroom", [0, 1, 3])
def test_every_code_is_adapted_by_the_formula(headroom: int) -> None:
    """All widths that fit the headroom; both ends of G, one, and values between."""
    layers = [
        (reading(8 - headroom - bits, 0, 2**bits - 1), gain)
        for bits in range(1, 9 - headroom)
        for gain in (128, 129, 181, 255, 256, 257, 391, 511, 512)
    ]
    quantise_every_code(machine(1, adaptive=True), layers)


def test_static_machines_have_no_gain() -> None:
    """No port, and no stage for a product."""
    static, adaptive = (ActivationReader(machine(1, adaptive)) for adaptive in (False, True))
    assert not hasattr(static, "gain")
    assert hasattr(adaptive, "gain")
    assert adaptive.latency == static.latency + 1


@pytest.mark.parametrize("pixels", [1, 2, 4, 8])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("adaptive", [False, True])
def test_every_pixel_comes_from_its_place(pixels: int, stride: int, adaptive: bool) -> None:
    """Random positions in and around a tensor, with gaps; outside it the pad code."""
    shape = machine(pixels, adaptive)
    dut = ActivationReader(shape)
    rng = random.Random(pixels * 2 + stride)
    width, height, row_words = 13, 3, -(-13 // shape.banks)
    tensor = {
        (x, y): [rng.randrange(256) for _ in range(shape.rows)]
        for x in range(width)
        for y in range(height)
    }
    memory = {
        (x % shape.banks, y * row_words + x // shape.banks): codes
        for (x, y), codes in tensor.items()
    }
    garbage = [rng.randrange(256) for _ in range(shape.rows)]
    layer = {
        **BLANK,
        "in_group": 1,
        "in_width": width,
        "in_height": height,
        "stride": stride,
        "read_shift": 2,
        "read_zero": 64,
        "read_offset": 16,
        "read_max": 63,
        "pad_code": 45,
    }

    async def bench(ctx) -> None:
        ctx.set(dut.layer, layer)
        if adaptive:
            ctx.set(dut.gain, 256)
        await ctx.tick()
        expected: list[tuple[int, list[list[int]]] | None] = [None] * dut.latency
        words = [[garbage] * shape.banks] * FeatureMemory.WINDOW_LATENCY
        for _ in range(150):
            valid = rng.random() < 0.8
            x, y = rng.randrange(-5, width + 6), rng.randrange(-2, height + 2)
            nibble = rng.randrange(2)
            row = y * row_words & 0xFFFF
            ctx.set(dut.valid, valid)
            ctx.set(dut.position, {"x": x, "y": y, "row": row, "nibble": nibble})
            # A synchronous memory with a register behind it.
            ctx.set(dut.words, words[0])
            assert ctx.get(dut.window.valid) == (expected[-1] is not None)
            if ctx.get(dut.window.valid):
                assert ctx.get(dut.window.payload.group) == 1
            asked = [
                memory.get((bank, ctx.get(dut.window.payload.addresses[bank])), garbage)
                for bank in range(shape.banks)
            ]
            words = [*words[1:], asked]
            assert ctx.get(dut.ready) == (expected[0] is not None)
            if expected[0] is not None:
                which, rows = expected[0]
                for pixel, activations in enumerate(rows):
                    for lane, a in enumerate(activations):
                        assert ctx.get(dut.activations[pixel][lane]) == a
                        assert ctx.get(dut.nibbles[pixel][lane]) == a >> 4 * which & 15
            step = None
            if valid:
                wanted = [tensor.get((x + p * stride, y)) for p in range(pixels)]
                step = (
                    nibble,
                    [
                        [layer["pad_code"]] * shape.rows
                        if codes is None
                        else [activation(u, layer) for u in codes]
                        for codes in wanted
                    ],
                )
            expected = [*expected[1:], step]
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


def test_half() -> None:
    """half(n) is half of 2**n for every shift that a read can have, 0 for none."""
    shift = Signal(4)

    async def bench(ctx) -> None:
        for n in range(8):
            ctx.set(shift, n)
            assert ctx.get(half(shift)) == (2**n // 2 if n else 0)

    simulator = Simulator(ActivationReader(machine(1)))
    simulator.add_testbench(bench)
    simulator.run()


def test_machine_is_checked() -> None:
    with pytest.raises(TypeError, match=r"^Machine must be a MachineConfig, not 'demo'$"):
        ActivationReader("demo")
