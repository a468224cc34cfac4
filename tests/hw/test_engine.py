# SPDX-License-Identifier: Apache-2.0
"""Whole layers through the engine against the formulas of docs/numerics.md, by definition.

The tests lay out memories and LAYER words themselves, from docs/machine.md, without the compiler.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest
from amaranth import Signal
from amaranth.sim import Simulator

from tritone.spec import timing
from tritone.spec.catalog import codebook
from tritone.spec.isa import PARAMETER, PASS_STEP, MemoryId, Opcode, PoolMode
from tritone.spec.machine import BEAT_BITS, MachineConfig
from tritone_hw.engine import Engine

Integers = npt.NDArray[np.int64]


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
        parameter_words=32,
        table_words=16,
    )


TINY = machine(8, 8, 1, 8, 32)
TINY_P2 = machine(8, 8, 2, 8, 32)
# Two output groups in a feature word, two channels in a requantiser slot.
NARROW = machine(16, 8, 2, 4, 16)
# Four output groups in a feature word, four pixels.
NARROW_P4 = machine(16, 4, 4, 4, 16)


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A layer by its meaning; tensors are drawn from the seed."""

    channels: tuple[int, int]  # in, out
    size: tuple[int, int]  # of the input: height, width
    kernel: tuple[int, int] = (1, 1)
    stride: int = 1
    pad: tuple[int, int, int, int] = (0, 0, 0, 0)  # top, left, bottom, right
    zero: int = 0
    codebook: str = "post4"
    bits: int = 4
    pad_code: int = 0
    wide: bool = False
    pool: PoolMode | None = None
    in_group: int = 0
    drain_each_walk: bool = False
    seed: int = 0

    @property
    def out_size(self) -> tuple[int, int]:
        top, left, bottom, right = self.pad
        return (
            (self.size[0] + top + bottom - self.kernel[0]) // self.stride + 1,
            (self.size[1] + left + right - self.kernel[1]) // self.stride + 1,
        )


Words = dict[tuple[int, int, int], int]  # (group, bank, word): contents
Bytes = dict[tuple[int, int, int, int], int]  # (group, bank, word, lane): a channel of a pixel


@dataclass
class Job:
    """What the engine is given, and what it must store."""

    fields: dict[str, int]
    memories: dict[MemoryId, list[int]]
    input: Bytes
    output: Bytes


def windows(padded: Integers, layer: Layer) -> Iterator[tuple[int, int, Integers]]:
    """Yield (ky, kx, the input pixel of each output pixel)."""
    height, width = layer.out_size
    for ky in range(layer.kernel[0]):
        for kx in range(layer.kernel[1]):
            rows = slice(ky, ky + (height - 1) * layer.stride + 1, layer.stride)
            columns = slice(kx, kx + (width - 1) * layer.stride + 1, layer.stride)
            yield ky, kx, padded[:, rows, columns]


def pad(values: Integers, layer: Layer, code: int) -> Integers:
    top, left, bottom, right = layer.pad
    return np.pad(values, ((0, 0), (top, bottom), (left, right)), constant_values=code)


def region(tensor: Integers, shape: MachineConfig, group: int, base: int) -> Bytes:
    """Return where a tensor is stored."""
    channels, height, width = tensor.shape
    row_words = -(-width // (2 * shape.pixels))
    return {
        (
            group,
            x % (2 * shape.pixels),
            base + (channel // shape.rows * height + y) * row_words + x // (2 * shape.pixels),
            channel % shape.rows,
        ): int(tensor[channel, y, x])
        for channel in range(channels)
        for y in range(height)
        for x in range(width)
    }


def convolve(layer: Layer, shape: MachineConfig, rng: np.random.Generator, u: Integers):
    """Return results, pass steps, weight words, tables and parameters of a convolution."""
    book = codebook(layer.codebook)
    out_channels, in_channels = layer.channels[1], layer.channels[0]
    codes = rng.choice(book.codes, (out_channels, in_channels, *layer.kernel))
    scaled = np.vectorize(lambda code: book.level(int(code)).scaled)(codes).astype(np.int64)
    r = 8 - layer.bits
    zero = layer.zero >> r
    a = np.clip(
        zero + ((u - layer.zero + (1 << r >> 1)) >> r),
        0,
        (1 << layer.bits) - 1,
    )
    v = np.zeros((out_channels, *layer.out_size), np.int64)
    for ky, kx, pixels in windows(pad(a, layer, layer.pad_code), layer):
        v += np.einsum("oi,iyx->oyx", scaled[:, :, ky, kx], pixels - zero)

    # Raw accumulators count a negative term as 127 or 63 less it.
    nibbles = 1 if layer.bits <= 4 else 2
    walks = sorted(
        ((each.shift + 4 * n) // 4, index, n)
        for index, each in enumerate(book.plan.passes)
        for n in range(nibbles)
    )
    bias = -zero * scaled.sum((1, 2, 3))
    steps = []
    for position, (shift, index, nibble) in enumerate(walks):
        final = position + 1 == len(walks) or walks[position + 1][0] != shift
        steps.append(
            {
                "table": index,
                "plane": book.plan.passes[index].plane,
                "nibble": nibble,
                "shift": shift,
                "drain": final or layer.drain_each_walk,
            }
        )
        for channel in range(out_channels):
            for code in codes[channel].flat:
                control = book.plan.passes[index].table[
                    book.plan.nibbles[code][book.plan.passes[index].plane]
                ]
                sign, even, odd = control >> 4 & 1, control >> 3 & 1, control >> 2 & 1
                bias[channel] -= sign * (128 * 127 * even + 181 * 63 * odd) << 4 * shift

    groups = -(-out_channels // shape.columns)
    words = -(-in_channels // shape.rows)
    weights = []
    for group in range(groups):
        for plane in range(book.plan.planes):
            for ky in range(layer.kernel[0]):
                for kx in range(layer.kernel[1]):
                    for k in range(words):
                        word = 0
                        for c in range(shape.columns):
                            for row in range(shape.rows):
                                o, i = group * shape.columns + c, k * shape.rows + row
                                nibble = book.plan.idle[plane]
                                if o < out_channels and i < in_channels:
                                    nibble = book.plan.nibbles[codes[o, i, ky, kx]][plane]
                                word |= nibble << 4 * (c * shape.rows + row)
                        weights.append(word)
    tables = [
        sum(control << 8 * n for n, control in enumerate(each.table)) for each in book.plan.passes
    ]
    return v, steps, weights, tables, bias


def pool(layer: Layer, u: Integers) -> tuple[Integers, int]:
    """Return what the requantiser gets from a pool, ``v``, and B."""
    if layer.pool is PoolMode.MAX:
        values = [pixels for _, _, pixels in windows(pad(u, layer, 0), layer)]
        return 128 * np.maximum.reduce(values), 0
    values = [pixels for _, _, pixels in windows(pad(u, layer, layer.zero), layer)]
    bias = -128 * layer.zero * len(values)
    return 128 * np.sum(values, 0) + bias, bias


def job(layer: Layer, shape: MachineConfig) -> Job:
    """Return the layer laid out for a machine."""
    rng = np.random.default_rng([layer.seed, shape.pixels])
    u = rng.integers(0, 256, (layer.channels[0], *layer.size), dtype=np.int64)
    out_channels = layer.channels[1]
    bits = 16 if layer.wide else 8
    low, high = (-(1 << 15), (1 << 15) - 1) if layer.wide else (3, 250)

    weights: list[int] = []
    tables: list[int] = []
    if layer.pool is None:
        v, steps, weights, tables, biases = convolve(layer, shape, rng, u)
        multiplier = rng.integers(-(1 << 15), 1 << 15, out_channels)
        # Results spread over a little more than the range of the clamp.
        spread = max(1, int(np.abs(v).max()))
        shift = min(40, max(0, (spread << 15).bit_length() - bits))
        offset = rng.integers(0, 1 << bits, out_channels) << shift >> layer.wide
    else:
        v, bias = pool(layer, u)
        steps = [{"table": 0, "plane": 0, "nibble": 0, "shift": 0, "drain": 1}]
        biases = np.full(out_channels, bias)
        n = layer.kernel[0] * layer.kernel[1] if layer.pool is PoolMode.SUM else 1
        shift = 7 + 8
        multiplier = np.full(out_channels, round((1 << 8) / n))
        offset = np.full(out_channels, ((layer.zero if n > 1 else 0) << shift) + (1 << shift >> 1))
    y = np.clip((v * multiplier[:, None, None] + offset[:, None, None]) >> shift, low, high)
    assert layer.pool is not None or len(np.unique(y)) > min(4, y.size // 2), "a dull case"

    in_row_words = -(-layer.size[1] // shape.banks)
    height, width = layer.out_size
    stored = y
    if layer.wide:
        halves = y & 0xFFFF
        stored = np.stack([halves & 255, halves >> 8], -1).reshape(*y.shape[:2], -1)
    row_words = -(-stored.shape[2] // shape.banks)
    groups = -(-out_channels // shape.columns)
    bases = {name: int(rng.integers(0, 4)) for name in ("in", "out", "weight", "table", "group")}

    # Channels behind the last one of a group are computed too, from zero weights; here they give D.
    filler = rng.integers(low, high + 1, groups * shape.columns - out_channels)
    multiplier = np.concatenate([multiplier, np.zeros(len(filler), np.int64)])
    offset = np.concatenate([offset, filler << shift])
    biases = np.concatenate([biases, np.zeros(len(filler), np.int64)])
    lanes = np.broadcast_to(filler[:, None, None], (len(filler), *y.shape[1:]))
    if layer.wide:
        halves = lanes & 0xFFFF
        lanes = np.stack([halves & 255, halves >> 8], -1).reshape(len(filler), *stored.shape[1:])
    stored = np.concatenate([stored, lanes])

    record_bits = PARAMETER.bits
    parameters = []
    for first in range(0, groups * shape.columns, shape.slot_channels):
        word = 0
        for channel in range(shape.slot_channels):
            values = {
                "bias": int(biases[first + channel]),
                "multiplier": int(multiplier[first + channel]),
                "offset": int(offset[first + channel]),
            }
            word |= PARAMETER.pack(values) << channel * record_bits
        parameters.append(word)

    opcode = Opcode.CONVOLVE if layer.pool is None else Opcode.POOL
    channel_words = -(-layer.channels[0] // shape.rows)
    planes = codebook(layer.codebook).plan.planes
    walk = layer.kernel[0] * layer.kernel[1] * channel_words
    r = 0 if layer.pool is not None else 8 - layer.bits
    fields = {
        "opcode": opcode,
        "wait_dma": 0,
        "wait_layer": 0,
        "reserved": 0,
        "in_group": layer.in_group,
        "in_base": bases["in"],
        "in_width": layer.size[1],
        "in_height": layer.size[0],
        "in_row_words": in_row_words,
        "in_plane_words": layer.size[0] * in_row_words,
        "in_channels": channel_words if layer.pool is None else 1,
        "out_base": bases["out"],
        "out_width": width,
        "out_height": height,
        "out_row_words": row_words,
        "out_plane_words": height * row_words,
        "out_channels": groups,
        "stored_width": stored.shape[2],
        "stored_rows": -(-out_channels // shape.rows) * height,
        "kernel_height": layer.kernel[0],
        "kernel_width": layer.kernel[1],
        "stride": layer.stride,
        "pad_top": layer.pad[0],
        "pad_left": layer.pad[1],
        "read_shift": r,
        "read_zero": layer.zero,
        "read_offset": layer.zero >> r,
        "read_max": 255 >> r,
        "pad_code": {None: layer.pad_code, PoolMode.MAX: 0, PoolMode.SUM: layer.zero}[layer.pool],
        "weight_base": bases["weight"],
        "plane_words": walk,
        "group_words": planes * walk,
        "table_base": bases["table"],
        "pass_steps": len(steps),
        "steps": sum(PASS_STEP.pack(step) << 8 * n for n, step in enumerate(steps)),
        "parameter_base": bases["group"],
        "shift": shift,
        "low": low,
        "high": high,
        "wide": layer.wide,
        "pool_mode": layer.pool or 0,
    }

    return Job(
        fields=fields,
        memories={
            MemoryId.WEIGHT: [0] * bases["weight"] + weights,
            MemoryId.TABLE: [0] * bases["table"] + tables,
            MemoryId.PARAMETER: [0] * bases["group"] + parameters,
        },
        input=region(u, shape, layer.in_group, bases["in"]),
        output=region(stored, shape, 1 - layer.in_group, bases["out"]),
    )


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
            MemoryId.TABLE: 2,
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
        """Run a layer; compare all of the feature memory, and its cycles with the law."""
        dut, work = self.dut, job(layer, self.shape)
        await self.start(ctx, work)
        predicted = timing.layer_cycles(self.shape, work.fields)
        cycles, steps, results = 1, 0, 0
        while ctx.get(dut.busy):
            assert cycles < predicted, f"{name}: still busy"
            assert not ctx.get(dut.layer.ready)
            steps += ctx.get(dut.array_step)
            results += ctx.get(dut.write_back_valid)
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
    "two passes of one table word each: int4": Layer(channels=(9, 8), size=(3, 4), codebook="int4"),
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
}


# What depends on the ratios of rows, columns and pixels.
SHAPED = [
    "3x3 with padding, odd width, codes behind the channels",
    "stride 2",
    "several channel words, 1x1",
    "wide rows",
    "max",
]


@pytest.mark.parametrize(
    ("shape", "names"),
    [(TINY, CASES), (TINY_P2, CASES), (NARROW, [*SHAPED, "average"]), (NARROW_P4, SHAPED)],
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
    for shape in (TINY, NARROW, NARROW_P4):
        engine = Engine(shape)
        assert timing.START == Engine.START
        for opcode in (Opcode.CONVOLVE, Opcode.POOL):
            assert timing.flush(shape, opcode) == engine.flush(opcode)


def test_machine_is_checked() -> None:
    with pytest.raises(TypeError, match=r"^Machine must be a MachineConfig, not 'tiny'$"):
        Engine("tiny")
