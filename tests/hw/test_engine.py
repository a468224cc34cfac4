# SPDX-License-Identifier: Apache-2.0
"""Whole layers through the engine against their definition; their cycles against the law."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import pytest
from amaranth import Signal
from amaranth.sim import Simulator
from layer_by_definition import Bytes, Job, Layer, Shortcut, job

from tritone.spec import timing
from tritone.spec.isa import MemoryId, Opcode, PoolMode
from tritone.spec.machine import BEAT_BITS, MachineConfig, RequantizerKind
from tritone_hw.engine import Engine


def machine(rows: int, columns: int, pixels: int, slots: int, words: int) -> MachineConfig:
    """Return a machine with memories just large enough for these tests."""
    return MachineConfig(
        name=f"{rows}x{columns}x{pixels}",
        rows=rows,
        columns=columns,
        pixels=pixels,
        requantizer_slots=slots,
        feature_words=words,
        weight_words=256,
        parameter_words=64,
    )


TINY = machine(8, 8, 1, 8, 128)
TINY_P2 = machine(8, 8, 2, 8, 64)
# Two output groups in a feature word, two channels in a requantiser slot.
NARROW = machine(16, 8, 2, 4, 32)
# Four output groups in a feature word, four pixels.
NARROW_P4 = machine(16, 4, 4, 4, 32)


HALF = replace(TINY, name="half", requantizer=RequantizerKind.HALF_OCTAVE)


Words = dict[tuple[int, int, int], int]  # (group, bank, word): contents


def replaced(words: Words, values: Bytes) -> Words:
    """Return ``words`` with some bytes replaced."""
    words = dict(words)
    for (group, bank, word, lane), byte in values.items():
        rest = words[group, bank, word] & ~(255 << 8 * lane)
        words[group, bank, word] = rest | byte << 8 * lane
    return words


class Host:
    """Drives the ports of an engine and knows what its feature memory holds."""

    def __init__(self, shape: MachineConfig, dut: Engine) -> None:
        self.shape = shape
        self.dut = dut
        rng = random.Random(0)
        self.words = {
            (group, bank, word): rng.getrandbits(shape.feature_word_bits)
            for group in range(2)
            for bank in range(shape.banks)
            for word in range(shape.feature_words)
        }

    async def write_features(self, ctx, words: Words) -> None:
        port = self.dut.feature_write
        for (group, bank, address), data in words.items():
            ctx.set(port.valid, 1)
            payload = {"group": group, "bank": bank, "address": address, "data": data}
            ctx.set(port.payload, payload)
            await ctx.tick().until(port.ready)
        ctx.set(port.valid, 0)

    async def write_memory(self, ctx, memory: MemoryId, words: Sequence[int]) -> None:
        port = self.dut.memory_write
        beats = {
            MemoryId.WEIGHT: self.shape.weight_word_bits // BEAT_BITS,
            MemoryId.PARAMETER: self.shape.parameter_word_bits // BEAT_BITS,
        }[memory]
        ctx.set(port.valid, 1)
        for address, word in enumerate(words):
            for beat in range(beats):
                payload = {
                    "memory": memory,
                    "address": address,
                    "beat": beat,
                    "last": beat + 1 == beats,
                    "data": word >> beat * BEAT_BITS & ((1 << BEAT_BITS) - 1),
                }
                ctx.set(port.payload, payload)
                await ctx.tick().until(port.ready)
        ctx.set(port.valid, 0)

    async def read_features(self, ctx, keys: Iterable[tuple[int, int, int]]) -> Words:
        """Ask for a word each cycle; answers must come in order and after the latency."""
        port = self.dut.feature_read
        found: Words = {}
        asked: list[tuple[int, tuple[int, int, int]]] = []
        pending = list(keys)[::-1]
        cycle = 0
        while pending or asked:
            ctx.set(port.valid, bool(pending))
            if pending:
                group, bank, address = pending[-1]
                ctx.set(port.payload, {"group": group, "bank": bank, "address": address})
                if ctx.get(port.ready):
                    asked.append((cycle, pending.pop()))
            if ctx.get(self.dut.feature_data_valid):
                when, key = asked.pop(0)
                assert cycle == when + Engine.FEATURE_READ_LATENCY
                found[key] = ctx.get(self.dut.feature_data)
            await ctx.tick()
            cycle += 1
        return found

    async def start(self, ctx, work: Job) -> None:
        """Fill the memories and hand over a layer."""
        dut = self.dut
        before = replaced(self.words, work.input)
        await self.write_features(
            ctx, {key: word for key, word in before.items() if word != self.words[key]}
        )
        self.words = replaced(before, work.output)
        for memory, words in work.memories.items():
            await self.write_memory(ctx, memory, words)

        assert ctx.get(dut.layer.ready)
        assert not ctx.get(dut.busy)
        ctx.set(dut.layer.payload, work.fields)
        ctx.set(dut.layer.valid, 1)
        await ctx.tick()
        # Another layer, which must wait; the engine keeps this one.
        ctx.set(dut.layer.payload, dict.fromkeys(work.fields, 0))

    async def run(self, ctx, name: str, layer: Layer) -> None:
        """Run a layer; compare all of the feature memory, and its cycles with the law.

        In every cycle a transfer may use just the ports that the law says.
        """
        dut, work = self.dut, job(layer, self.shape)
        await self.start(ctx, work)
        predicted = timing.layer_cycles(self.shape, work.fields)
        use = timing.PortUse(self.shape, work.fields)
        cycles, steps, results = 1, 0, 0
        while ctx.get(dut.busy):
            assert cycles < predicted, f"{name}: still busy"
            assert not ctx.get(dut.layer.ready)
            steps += ctx.get(dut.array_step)
            results += ctx.get(dut.write_back_valid)
            for group in range(2):
                ctx.set(dut.feature_read.payload.group, group)
                ctx.set(dut.feature_write.payload.group, group)
                assert ctx.get(dut.feature_read.ready) != use.reads(group, cycles), name
                assert ctx.get(dut.feature_write.ready) != use.writes(group, cycles), name
            await ctx.tick()
            cycles += 1
        ctx.set(dut.layer.valid, 0)

        # What was written last is read first, in the very cycle in which the engine is idle again.
        last = list(work.output)[-1][:3]
        found = await self.read_features(ctx, {last: 0} | self.words)
        wrong = {key: (hex(found[key]), hex(self.words[key])) for key in found}
        wrong = {key: pair for key, pair in wrong.items() if pair[0] != pair[1]}
        assert not wrong, f"{name}: {len(wrong)} words differ, {next(iter(wrong.items()))}"
        assert cycles == predicted, name
        assert steps == timing.array_cycles(self.shape, work.fields), name
        tiles_across = -(-layer.out_size[1] // self.shape.pixels)
        assert results == work.fields["out_channels"] * layer.out_size[0] * tiles_across, name


def run(shape: MachineConfig, layers: Mapping[str, Layer]) -> None:
    """Run layers one after the other in one simulation."""
    dut = Engine(shape)
    host = Host(shape, dut)

    async def bench(ctx) -> None:
        await host.write_features(ctx, host.words)
        for name, layer in layers.items():
            await host.run(ctx, name, layer)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


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
        (HALF, [*SHAPED, "average", "a shortcut to each of several drains and wide results"]),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_layers(shape: MachineConfig, names: Iterable[str]) -> None:
    """The results are stored, nothing else has changed, and the cycles obey the law."""
    run(shape, {name: CASES[name] for name in names})


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
    for shape in (TINY, NARROW, NARROW_P4, HALF):
        engine = Engine(shape)
        assert timing.START == Engine.START
        for opcode in (Opcode.CONVOLVE, Opcode.POOL):
            assert timing.flush(shape, opcode) == engine.flush(opcode)


def test_machine_is_checked() -> None:
    with pytest.raises(TypeError, match=r"^Machine must be a MachineConfig, not 'tiny'$"):
        Engine("tiny")
