# SPDX-License-Identifier: Apache-2.0
"""What an engine is connected to: loads, layers, and the law that its cycles obey."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence

from amaranth.sim import Simulator
from layer_by_definition import Bytes, Job, Layer, job

from tritone.spec import timing
from tritone.spec.isa import MemoryId
from tritone.spec.machine import BEAT_BITS, MachineConfig
from tritone_hw.engine import Engine

__all__ = ["Host", "machine", "run"]

Words = dict[tuple[int, int, int], int]  # (group, bank, word): contents


def machine(
    rows: int, columns: int, pixels: int, slots: int, words: int, adaptive: bool = False
) -> MachineConfig:
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
        adaptive=adaptive,
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
            MemoryId.TERMS: 1,
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
                assert ctx.get(dut.feature_write.ready) != use.writes(cycles), name
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
