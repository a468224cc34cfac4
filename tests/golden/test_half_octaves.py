# SPDX-License-Identifier: Apache-2.0
"""Networks without multipliers: the definition, the golden layers, the fast ones, the machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tritone.compiler import compile_network, pack_images
from tritone.golden import fast, layers
from tritone.golden.machine import GoldenMachine
from tritone.graph import Convolution, Network, Shortcut, Tensor
from tritone.spec.catalog import codebook
from tritone.spec.isa import HALF_PARAMETER, LOAD, MemoryId, Opcode
from tritone.spec.machine import MachineConfig, RequantizerKind, preset
from tritone.spec.program import Program

MACHINE = preset("tiny_half")
# Two output groups in a word, two channels in a slot, two pixels.
WIDE = MachineConfig(
    name="wide",
    rows=16,
    columns=8,
    pixels=2,
    requantizer_slots=4,
    requantizer=RequantizerKind.HALF_OCTAVE,
)


def images(network: Network, count: int) -> np.ndarray:
    """Return random raw bytes (image, channel, y, x)."""
    shape = network.tensors[network.input].shape
    return np.random.default_rng(6).integers(0, 256, (count, *shape)).astype(np.uint8)


def by_definition(
    node: Convolution, source: Tensor, u: Any, added: Tensor | None, k: Any
) -> list[list[list[int]]]:
    """Return codes [channel][y][x] of one image in plain integers, docs/numerics.md word by word.

    1x1 windows without padding, one group; k are the codes of the shortcut's tensor.
    """
    levels = codebook(node.codebook).levels
    r = 8 - node.bits
    z_a = source.zero >> r
    assert node.half_octaves is not None
    result = []
    for c, weights in enumerate(node.codes[:, :, 0, 0].tolist()):
        half_octaves = int(node.half_octaves[c])
        s = (half_octaves + 1) // 2
        plane = []
        for y in range(u.shape[1]):
            row = []
            for x in range(u.shape[2]):
                even = odd = 0
                for channel, code in enumerate(weights):
                    level = levels[code]
                    assert level is not None
                    rounded = (int(u[channel, y, x]) - source.zero + ((1 << r) >> 1)) >> r
                    a = min(max(z_a + rounded, 0), (1 << node.bits) - 1)
                    even += level.even * (a - z_a)
                    odd += level.odd * (a - z_a)
                v = (odd << 8) + 181 * even if half_octaves % 2 else (even << 7) + 181 * odd
                total = v + int(node.offset[c])
                if node.shortcut is not None and added is not None:
                    total += (int(k[c, y, x]) - added.zero) << (s + node.shortcut.shift)
                row.append(min(max(total >> s, node.low), node.high))
            plane.append(row)
        result.append(plane)
    return result


@pytest.mark.parametrize("seed", range(4))
def test_layers_follow_the_definition(seed: int, random_network: Any, spec: Any) -> None:
    """Every k of -1..40 and its sign of parity, shortcuts of any octave, all codebooks' rails."""
    rng = np.random.default_rng(seed)
    book = ("post4", "int4", "twopost6", "binary")[seed]
    point = {"kernel": (1, 1)}
    drawn = random_network(
        (3, 3, 4),
        [
            spec(out=21, zero=128 * (seed % 2), codebook=book, bits=8, **point),
            spec(out=21, codebook="post4", bits=4, **point),
        ],
        seed=seed,
    )
    first, second = drawn.nodes
    assert isinstance(first, Convolution)
    assert isinstance(second, Convolution)
    ones = np.ones(21, np.int64)
    nodes = []
    for node in (first, second):
        k = np.arange(-1, 20) if node is first else rng.permutation(np.arange(0, 42, 2) + 3)
        offset = rng.integers(-(2**10), 2**10, 21) << ((k + 1) // 2)
        common = {"multiplier": ones, "shift": 0, "half_octaves": k, "offset": offset}
        nodes.append(replace(node, **common))
    shortcut = Shortcut(tensor="tensor0", multiplier=1, shift=int(rng.integers(-2, 6)))
    nodes[1] = replace(nodes[1], shortcut=shortcut)
    network = replace(drawn, nodes=tuple(nodes))
    batch = images(network, 2)
    found = layers.run(network, batch)
    tensors = network.tensors
    for image in range(2):
        expected = by_definition(nodes[0], tensors["input"], batch[image], None, None)
        assert found["tensor0"][image].tolist() == expected
        u = found["tensor0"][image]
        expected = by_definition(nodes[1], tensors["tensor0"], u, tensors["tensor0"], u)
        assert found["tensor1"][image].tolist() == expected
    assert len(np.unique(found["tensor1"])) > 5


@pytest.mark.parametrize("seed", range(12))
def test_fast_equals_layers(
    seed: int,
    random_chain: Callable[[int], Network],
    random_residual: Callable[[int], Network],
    half_octaves: Callable[..., Network],
) -> None:
    """Also with groups, strided shortcuts and channels that nothing is added to."""
    for network in (random_chain(seed), random_residual(seed)):
        network = half_octaves(network, seed)
        batch = images(network, 3)
        exact, quick = layers.run(network, batch), fast.run(network, batch)
        for name, values in exact.items():
            assert (quick[name] == values).all(), name


def run_machine(program: Program, batch: np.ndarray) -> list[list[Any]]:
    """Return the outputs of all layers for each image."""
    packed = pack_images(batch, program)
    size = program.metadata["image"]["bytes"]
    golden = GoldenMachine(program)
    return [golden.run(packed[at : at + size]) for at in range(0, len(packed), size)]


@pytest.mark.parametrize("machine", [MACHINE, WIDE], ids=lambda machine: machine.name)
@pytest.mark.parametrize("seed", range(8))
def test_the_machine_equals_layers(
    seed: int,
    machine: MachineConfig,
    random_chain: Callable[[int], Network],
    residual_blocks: Callable[..., Network],
    half_octaves: Callable[..., Network],
) -> None:
    """From the program's bytes, every tensor, of chains and of residual blocks of all kinds."""
    blocks = residual_blocks(("identity", "pad", "project")[seed % 3], seed)
    for network in (random_chain(seed), blocks):
        network = half_octaves(network, seed)
        batch = images(network, 2)
        program = compile_network(network, machine)
        expected = layers.run(network, batch)
        names = [entry["name"] for entry in program.metadata["tensors"]]
        assert names == [node.output for node in network.nodes]
        for image, outputs in enumerate(run_machine(program, batch)):
            for name, output in zip(names, outputs, strict=True):
                assert (output == expected[name][image]).all(), name


@pytest.mark.parametrize(
    ("field", "change"), [("turned", 1), ("shift", 1), ("offset", 1 << 46), ("bias", 1 << 20)]
)
def test_a_changed_constant_shows(
    field: str,
    change: int,
    every_operator: Network,
    half_octaves: Callable[..., Network],
) -> None:
    """A flipped bit of the first layer's first channel changes that channel, and no other."""
    network = half_octaves(every_operator)
    program = compile_network(network, MACHINE)
    loads = (LOAD.unpack(w) for w in program.instruction_words() if w & 15 == Opcode.LOAD)
    at = next(load["offset"] for load in loads if load["memory"] == MemoryId.PARAMETER)
    payload = bytearray(program.payload)
    record = HALF_PARAMETER.unpack(int.from_bytes(payload[at : at + 16], "little"))
    record[field] ^= change
    payload[at : at + 16] = HALF_PARAMETER.pack(record).to_bytes(16, "little")
    batch = images(network, 2)
    changed = run_machine(replace(program, payload=bytes(payload)), batch)
    for before, after in zip(run_machine(program, batch), changed, strict=True):
        differs = (before[0] != after[0]).any(axis=(1, 2))
        assert differs.tolist() == [True] + [False] * (len(differs) - 1)
