# SPDX-License-Identifier: Apache-2.0
"""Whole layers through the engine against their definition; their cycles against the law."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import replace

import pytest
from amaranth import Signal
from amaranth.sim import Simulator
from engine_host import Host, machine, run
from layer_by_definition import Layer, Shortcut, job

from tritone.spec import timing
from tritone.spec.isa import Opcode, PoolMode
from tritone.spec.machine import ArrayKind, MachineConfig, RequantizerKind
from tritone_hw.engine import Engine

TINY = machine(8, 8, 1, 8, 128)
TINY_P2 = machine(8, 8, 2, 8, 64)
# Two output groups in a feature word, two channels in a requantiser slot.
NARROW = machine(16, 8, 2, 4, 32)
# Four output groups in a feature word, four pixels.
NARROW_P4 = machine(16, 4, 4, 4, 32)


ADAPTIVE = machine(8, 8, 2, 4, 32, adaptive=True)
HALF = replace(TINY, name="half", requantizer=RequantizerKind.HALF_OCTAVE)
UNIFORM = replace(TINY, name="uniform", array=ArrayKind.UNIFORM)
POT = replace(TINY, name="pot", array=ArrayKind.POT, even_bits=23)
HALF_UNIFORM = replace(UNIFORM, name="half-uniform", requantizer=RequantizerKind.HALF_OCTAVE)

CASES = {
    "3x3 with padding, odd width, codes behind the channels": Layer(
        channels=(5, 11), size=(5, 5), kernel=(3, 3), pad=(1, 1, 1, 1), zero=48, pad_code=3
    ),
    "stride 2": Layer(channels=(8, 8), size=(6, 7), kernel=(3, 3), stride=2, pad=(1, 1, 1, 1)),
    "eight pass steps: int8 by 8 bit": Layer(
        channels=(4, 8),
        size=(3, 5),
        kernel=(3, 3),
        pad=(1, 1, 1, 1),
        codebook="int8",
        bits=8,
        zero=128,
        pad_code=128,
    ),
    "two passes over one nibble: int4": Layer(channels=(9, 8), size=(3, 4), codebook="int4"),
    "several channel words, 1x1": Layer(channels=(33, 8), size=(2, 3), zero=16, pad_code=1),
    "the window is the input, wide results": Layer(
        channels=(12, 10), size=(3, 4), kernel=(3, 4), wide=True, bits=8, zero=7
    ),
    "wide rows": Layer(channels=(8, 8), size=(2, 5), kernel=(1, 2), wide=True, in_group=1),
    "a window larger than what it overlaps": Layer(
        channels=(3, 3), size=(4, 3), kernel=(5, 5), stride=2, pad=(3, 4, 2, 3), pad_code=15
    ),
    "a drain for each walk": Layer(
        channels=(8, 8), size=(2, 3), codebook="int6", bits=8, drain_each_walk=True
    ),
    "depthwise": Layer(
        channels=(20, 20),
        size=(4, 5),
        kernel=(3, 3),
        pad=(1, 1, 1, 1),
        zero=64,
        pad_code=4,
        groups=20,
        reach=(1, 1),
    ),
    "three groups of two words, two groups of a word for each": Layer(
        channels=(48, 48), size=(2, 3), groups=3, reach=(2, 2)
    ),
    "a window of 7x7": Layer(
        channels=(3, 5), size=(6, 5), kernel=(7, 7), stride=2, pad=(3, 3, 3, 3), bits=8, zero=128
    ),
    "max": Layer(channels=(20, 20), size=(4, 4), kernel=(2, 2), stride=2, pool=PoolMode.MAX),
    "max with padding": Layer(
        channels=(8, 8),
        size=(5, 5),
        kernel=(3, 3),
        stride=2,
        pad=(1, 1, 1, 1),
        pool=PoolMode.MAX,
        in_group=1,
    ),
    "average": Layer(
        channels=(17, 17),
        size=(4, 3),
        kernel=(3, 3),
        pad=(1, 1, 1, 1),
        zero=37,
        pool=PoolMode.SUM,
    ),
    "a shortcut replaced in place": Layer(
        channels=(8, 16),
        size=(3, 7),
        kernel=(3, 3),
        pad=(1, 1, 1, 1),
        shortcut=Shortcut(channels=16, zero=9, in_place=True),
    ),
    "a shortcut of stride 2 to the first channels": Layer(
        channels=(4, 24), size=(3, 5), in_group=1, shortcut=Shortcut(channels=11, stride=2)
    ),
    "a shortcut to each of several drains and wide results": Layer(
        channels=(8, 9),
        size=(2, 3),
        codebook="int6",
        bits=8,
        wide=True,
        shortcut=Shortcut(channels=9, zero=255),
    ),
    "a pool that adds": Layer(
        channels=(8, 8),
        size=(3, 3),
        kernel=(2, 2),
        pool=PoolMode.MAX,
        shortcut=Shortcut(channels=8, stride=2, zero=128),
    ),
    "results beside their input": Layer(
        channels=(8, 8), size=(3, 4), kernel=(3, 3), pad=(1, 1, 1, 1), out_group=0
    ),
}


# On arrays of one rail; the same layers with weights that these have.
ONE_RAIL = {
    f"{name}: {book}": replace(CASES[name], codebook=book)
    for name, book in (
        ("3x3 with padding, odd width, codes behind the channels", "int4"),
        ("eight pass steps: int8 by 8 bit", "int8"),
        ("several channel words, 1x1", "pot4"),
        ("the window is the input, wide results", "odd3"),
        ("depthwise", "pot4"),
        ("a drain for each walk", "int6"),
        ("a shortcut to each of several drains and wide results", "apot4"),
        ("a shortcut replaced in place", "ternary"),
        ("average", "post4"),
        ("a pool that adds", "post4"),
    )
}

PACKED = replace(TINY_P2, name="packed", packing=True)
PACKED_NARROW = replace(NARROW, name="packed-narrow", packing=True)
_BITS, _PAIRS = (1, (0, 8)), (2, (0, 8, 7))
PACKED_CASES = {
    # 18 words of a walk take 5 memory words.
    "binary in bits": Layer(
        channels=(16, 16),
        size=(3, 4),
        kernel=(3, 3),
        pad=(1, 1, 1, 1),
        codebook="binary",
        stored=(_BITS,),
    ),
    "binary in pairs, with lanes that add nothing": Layer(
        channels=(9, 11), size=(3, 5), kernel=(2, 2), codebook="binary", stored=(_PAIRS,), seed=3
    ),
    "ternary in pairs by 8 bit": Layer(
        channels=(17, 16),
        size=(4, 3),
        kernel=(3, 1),
        codebook="ternary",
        bits=8,
        zero=128,
        stored=(_PAIRS,),
        seed=5,
    ),
    "a pass in bits and one in pairs": Layer(
        channels=(32, 24),
        size=(2, 3),
        kernel=(1, 3),
        codebook="odd2",
        stored=(_BITS, (2, (1, 9, 7))),
        seed=14,
    ),
    "a pass in bits and one in nibbles": Layer(
        channels=(16, 16), size=(2, 3), codebook="odd3", stored=(_BITS, (4, ())), seed=6
    ),
    "four terms in pairs": Layer(
        channels=(16, 16), size=(3, 3), codebook="binary", stored=((2, (8, 0, 13, 5)),), seed=7
    ),
    "as any other": CASES["stride 2"],
}


# What depends on the ratios of rows, columns and pixels.
SHAPED = [
    "3x3 with padding, odd width, codes behind the channels",
    "stride 2",
    "several channel words, 1x1",
    "wide rows",
    "max",
    "a shortcut replaced in place",
    "a shortcut of stride 2 to the first channels",
]


@pytest.mark.parametrize(
    ("shape", "names"),
    [
        (TINY, CASES),
        (TINY_P2, CASES),
        (NARROW, [*SHAPED, "average"]),
        (NARROW_P4, SHAPED),
        (PACKED, PACKED_CASES),
        (PACKED_NARROW, PACKED_CASES),
        (HALF, [*SHAPED, "average", "a shortcut to each of several drains and wide results"]),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_layers(shape: MachineConfig, names: Iterable[str]) -> None:
    """The results are stored, nothing else has changed, and the cycles obey the law."""
    run(shape, {name: (CASES | PACKED_CASES)[name] for name in names})


def test_packed_integers() -> None:
    """Codes are those of the array, whatever its kind: +-1 and +-3 are four of a pass."""
    layer = Layer(channels=(16, 8), size=(3, 3), kernel=(1, 2), pad=(0, 0, 0, 1), seed=9)
    stored = {"binary": ((1, (1, 15)),), "odd2": ((2, (1, 3, 13, 15)),)}
    cases = {book: replace(layer, codebook=book, stored=form) for book, form in stored.items()}
    run(replace(UNIFORM, name="packed-uniform", packing=True), cases)


def test_packed_weights_on_an_adaptive_machine() -> None:
    """Its reader takes a cycle more, so weights are asked for a cycle later."""
    case = "binary in pairs, with lanes that add nothing"
    run(replace(ADAPTIVE, name="packed-asq", packing=True), {case: PACKED_CASES[case]})


@pytest.mark.parametrize("shape", [UNIFORM, POT, HALF_UNIFORM], ids=lambda shape: shape.name)
def test_layers_on_one_rail(shape: MachineConfig) -> None:
    """Weights of one nibble and of two, shortcuts and pools; the latency is the array's own."""
    run(shape, ONE_RAIL)


def test_transfers_beside_a_layer() -> None:
    """Transfers that compete with a layer for its banks wait, lose nothing and disturb nothing."""
    shape = TINY_P2
    layer = CASES["stride 2"]
    dut = Engine(shape)
    host = Host(shape, dut)
    work = job(layer, shape)
    used = {key[:3] for key in (*work.input, *work.output)}
    rng = random.Random(1)
    free = [key for key in host.words if key not in used]
    inputs = sorted({key[:3] for key in work.input})
    started = Signal()
    stalls = {"read": 0, "write": 0}

    ended = []

    async def bench(ctx) -> None:
        await host.write_features(ctx, host.words)
        await host.start(ctx, work)
        ctx.set(dut.layer.valid, 0)
        ctx.set(started, 1)
        while ctx.get(dut.busy) or len(ended) < 2:
            stalls["read"] += ctx.get(dut.feature_read.valid) and not ctx.get(
                dut.feature_read.ready
            )
            stalls["write"] += ctx.get(dut.feature_write.valid) and not ctx.get(
                dut.feature_write.ready
            )
            await ctx.tick()
        assert await host.read_features(ctx, host.words) == host.words

    async def write(ctx) -> None:
        await ctx.tick().until(started)
        while ctx.get(dut.busy):
            key = rng.choice(free)
            host.words[key] = rng.getrandbits(shape.feature_word_bits)
            await host.write_features(ctx, {key: host.words[key]})
        ended.append("write")

    async def read(ctx) -> None:
        await ctx.tick().until(started)
        while ctx.get(dut.busy):
            wanted = rng.sample(inputs, 3)
            found = await host.read_features(ctx, wanted)
            assert found == {key: host.words[key] for key in wanted}
        ended.append("read")

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    for process in (bench, write, read):
        simulator.add_testbench(process)
    simulator.run()
    assert stalls["read"] > 0
    assert stalls["write"] > 0


def test_cycle_constants() -> None:
    """The cycle model of the specification has the gateware's latencies."""
    assert timing.RECIPROCAL_CYCLES == Engine.RECIPROCAL_CYCLES
    for shape in (TINY, NARROW, NARROW_P4, HALF, ADAPTIVE, UNIFORM, POT):
        engine = Engine(shape)
        assert timing.START == Engine.START
        for opcode in (Opcode.CONVOLVE, Opcode.POOL):
            assert timing.flush(shape, opcode) == engine.flush(opcode)


def test_machine_is_checked() -> None:
    with pytest.raises(TypeError, match=r"^Machine must be a MachineConfig, not 'tiny'$"):
        Engine("tiny")
