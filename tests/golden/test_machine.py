# SPDX-License-Identifier: Apache-2.0
"""Programs executed from their bytes give the tensors of the layer model; broken ones do not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tritone.compiler import compile_network, pack_images
from tritone.golden import layers
from tritone.golden.machine import GoldenMachine
from tritone.graph import Convolution, Network, PoolKind
from tritone.spec.catalog import codebook
from tritone.spec.isa import CHECK, HEADER, LAYER, LOAD, PARAMETER, RECORDS, MemoryId, Opcode
from tritone.spec.machine import MachineConfig, preset
from tritone.spec.program import Program

# The tiny machines, one with C < R, and one with narrow accumulators, which must drain more often;
# memories are large enough for every network here.
MEMORIES: dict[str, Any] = {
    "feature_words": 2048,
    "weight_words": 8192,
    "parameter_words": 1024,
}
MACHINES = [
    replace(machine, **MEMORIES)
    for machine in (
        preset("tiny"),
        preset("tiny-p2"),
        preset("tiny-p4"),
        MachineConfig(name="few-columns", rows=16, columns=8, pixels=2),
        MachineConfig(
            name="narrow",
            rows=32,
            columns=4,
            pixels=1,
            requantizer_slots=4,
            even_bits=16,
        ),
    )
]
SMALL = replace(preset("tiny"), **MEMORIES)


def _images(network: Network, count: int = 2, seed: int = 0) -> Any:
    shape = (count, *network.tensors[network.input].shape)
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def _run(program: Program, images: Any) -> dict[str, Any]:
    """Every tensor, (image, channel, y, x), as the machine computes it."""
    golden, size = GoldenMachine(program), program.metadata["image"]["bytes"]
    data = pack_images(images, program)
    runs = [golden.run(data[start : start + size]) for start in range(0, len(data), size)]
    names = [entry["name"] for entry in program.metadata["tensors"]]
    return {
        name: np.stack(values) for name, values in zip(names, zip(*runs, strict=True), strict=True)
    }


def _first_difference(network: Network, program: Program, images: Any) -> str | None:
    """The layer whose tensor is the first that is not as the layer model has it."""
    expected, result = layers.run(network, images), _run(program, images)
    for node in network.nodes:
        if not (result[node.output] == expected[node.output]).all():
            return node.name
    return None


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
@pytest.mark.parametrize("seed", range(24))
def test_programs_compute_what_the_layers_do(
    seed: int, machine: MachineConfig, random_chain: Callable[[int], Network]
) -> None:
    """All tensors of two images in a row are equal."""
    network = random_chain(seed)
    program = compile_network(network, machine)
    assert _first_difference(network, program, _images(network, seed=seed)) is None


@pytest.mark.parametrize("name", ["demo", "ecp5_85", "full"])
def test_larger_machines(name: str, spec: Any, random_network: Callable[..., Network]) -> None:
    """The presets with 16 and 32 rows run a network of every operator."""
    network = random_network(
        (3, 8, 8),
        [
            spec(out=20, pad=(1, 1, 1, 1), codebook="int8", bits=8),
            spec(out=33, pad=(1, 1, 1, 1), stride=2, zero=16),
            spec(kind=PoolKind.MAX, kernel=(2, 2)),
            spec(kind=PoolKind.AVERAGE, kernel=(3, 3), stride=3),
            spec(out=10, kernel=(1, 1), codebook="int8", bits=8, wide=True),
        ],
    )
    program = compile_network(network, preset(name))
    assert _first_difference(network, program, _images(network)) is None


@pytest.mark.parametrize("book", ["odd3", "odd4", "odd7", "apot5", "twopost6", "twopost8", "int7"])
@pytest.mark.parametrize("bits", [4, 8])
def test_codebooks_on_lanes_without_a_channel(
    book: str, bits: int, spec: Any, random_network: Callable[..., Network]
) -> None:
    """3 input and 5 output channels leave lanes of an 8 by 8 array unused: they add nothing."""
    layer = spec(out=5, codebook=book, bits=bits, pad=(1, 1, 1, 1), wide=True)
    network = random_network((3, 5, 5), [layer], seed=bits, zero=128)
    images = _images(network, seed=bits)
    assert _first_difference(network, compile_network(network, SMALL), images) is None


@pytest.mark.parametrize("book", ["post4", "int8", "post5", "binary"])
@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize("code", [0, 255])
def test_extreme_weights_and_activations(
    book: str, sign: int, code: int, spec: Any, random_network: Callable[..., Network]
) -> None:
    """All weights the largest of one sign, all inputs 0 or 255: the ends of all ranges."""
    layer = spec(out=8, codebook=book, bits=8, pad=(1, 1, 1, 1), wide=True)
    network = random_network((64, 4, 4), [layer])
    (node,) = network.nodes
    assert isinstance(node, Convolution)
    node.codes[...] = codebook(book).codes[0 if sign < 0 else -1]
    images = np.full((1, 64, 4, 4), code, np.uint8)
    assert _first_difference(network, compile_network(network, SMALL), images) is None


@pytest.fixture
def network(spec: Any, random_network: Callable[..., Network]) -> Network:
    """Three convolutions with codebooks of their own."""
    return random_network(
        (4, 6, 6),
        [
            spec(out=8, pad=(1, 1, 1, 1), codebook="int8", bits=8),
            spec(out=8, pad=(1, 1, 1, 1), codebook="post4", bits=4),
            spec(out=8, pad=(1, 1, 1, 1), codebook="int4", bits=4),
        ],
        seed=3,
    )


def _edit(program: Program, index: int, **changes: Any) -> Program:
    """The program with fields of one instruction replaced."""
    word = program.instruction_words()[index]
    record = RECORDS[Opcode(word & 15)]
    word = record.pack({**record.unpack(word), **changes})
    payload = bytearray(program.payload)
    payload[64 * index : 64 * index + 64] = word.to_bytes(64, "little")
    return replace(program, payload=bytes(payload))


def _load(program: Program, memory: MemoryId, address: int) -> tuple[int, dict[str, int]]:
    """Index and fields of the LOAD that fills a word of ``memory``."""
    for index, word in enumerate(program.instruction_words()):
        if word & 15 == Opcode.LOAD:
            load = LOAD.unpack(word)
            first = load["address"]
            if load["memory"] == memory and first <= address < first + load["words"]:
                return index, load
    raise AssertionError(f"no LOAD fills word {address} of {memory.name}")


def _flip(program: Program, memory: MemoryId, address: int, byte: int, bit: int) -> Program:
    """The program with one bit changed in what it loads into a word of 16 or 32 bytes."""
    _, load = _load(program, memory, address)
    size = 8 * load["beats"] // load["words"]
    payload = bytearray(program.payload)
    payload[load["offset"] + size * (address - load["address"]) + byte] ^= 1 << bit
    return replace(program, payload=bytes(payload))


def _layer(program: Program, layer: int) -> tuple[int, dict[str, int]]:
    index = program.metadata["tensors"][layer]["instructions"][0]
    return index, LAYER.unpack(program.instruction_words()[index])


def _sabotage(program: Program, layer: int, part: str) -> Program:
    index, fields = _layer(program, layer)
    match part:
        case "weight":
            # Row 1 of column 0, in the middle of the 3x3 window: the top bit of its nibble.
            return _flip(program, MemoryId.WEIGHT, fields["weight_base"] + 4, 0, 7)
        case "table":
            # Nibble 1 is a term in the first pass of all three codebooks; its bit 3 is the sign.
            load, found = _load(program, MemoryId.WEIGHT, fields["weight_base"])
            return _edit(program, load, table=found["table"] ^ 1 << 4 + 3)
        case "pad":
            # Where the image is loaded as windows its LOAD pads.
            words = program.instruction_words()[:index]
            loads = [number for number, word in enumerate(words) if word & 15 == Opcode.LOAD]
            if layer == 0 and LOAD.unpack(words[loads[-1]])["kernel"]:
                code = LOAD.unpack(words[loads[-1]])["pad_code"]
                return _edit(program, loads[-1], pad_code=code ^ 4)
            return _edit(program, index, pad_code=fields["pad_code"] ^ 4)
        case _:
            # The constants of output channel 2; a bit that counts at least a code.
            field = {"B": "bias", "M": "multiplier", "D": "offset"}[part]
            bit = {"B": 18, "M": 13, "D": fields["shift"] + 3}[part]
            bit += next(offset for offset, each in PARAMETER.placed() if each.name == field)
            word = fields["parameter_base"] + 2
            return _flip(program, MemoryId.PARAMETER, word, bit // 8, bit % 8)


@pytest.mark.parametrize("layer", range(3))
@pytest.mark.parametrize("part", ["weight", "table", "pad", "B", "M", "D"])
def test_sabotage_shows_in_its_layer(part: str, layer: int, network: Network) -> None:
    """One changed bit makes exactly the layer it belongs to the first that differs."""
    program = compile_network(network, SMALL)
    images = _images(network)
    assert _first_difference(network, program, images) is None
    broken = _sabotage(program, layer, part)
    assert _first_difference(network, broken, images) == f"layer{layer}"


def test_the_result_is_the_region_of_the_last_tensor(network: Network) -> None:
    """STORE writes what the last layer's dump holds."""
    program = compile_network(network, SMALL)
    execution = GoldenMachine(program).execute(pack_images(_images(network, 1), program))
    assert execution.result == execution.dumps[-1]
    assert len(execution.result) == program.metadata["result"]["bytes"]
    assert [len(dump) for dump in execution.dumps] == [
        entry["bytes"] for entry in program.metadata["tensors"]
    ]


@pytest.mark.parametrize(
    ("index", "changes", "message"),
    [
        (0, {"fingerprint": 5}, r"^Program must be compiled for the fingerprint \w{16}, not 0+5$"),
        (1, {"memory": 7}, r"^LOAD must name a memory, not 7$"),
        (1, {"source": 2}, r"^LOAD must read the program or an image, not 2$"),
        (1, {"words": 1}, r"^LOAD must read the beats of 1 words, not \d+ values$"),
        (3, {"address": 8192}, r"^LOAD must fit 8192 words, not \d+$"),
        (3, {"offset": 1 << 20}, r"^LOAD must find \d+ bytes at 1048576, not 0$"),
        (10, {"pass_steps": 9}, r"^Layer must have 1\.\.8 pass steps, not 9$"),
        (10, {"pass_steps": 1}, r"^Layer must drain with its last pass step$"),
        (10, {"stride": 3}, r"^Instruction 10 must have .* and a stride of 1 or 2, not 3$"),
        (10, {"in_channels": 0}, r"^Instruction 10 must have sizes .*, not in_channels 0$"),
        (10, {"out_base": 2048}, r"^Region must fit 2048 feature words, not \d+$"),
        (10, {"parameter_base": 1020}, r"^Layer must have 8 channels of parameters, not 4$"),
        (
            14,
            {"target": 0},
            r"^STORE must stay behind the instructions, in 1408\.\.2688, not in 0\.\.288$",
        ),
        (14, {"target": 1}, r"^STORE must write a result or behind the program, not 1$"),
    ],
)
def test_illegal_instructions_are_refused(
    index: int, changes: dict[str, int], message: str, network: Network
) -> None:
    """Every instruction checks what it is told."""
    program = _edit(compile_network(network, SMALL), index, **changes)
    with pytest.raises(ValueError, match=message):
        _run(program, _images(network, 1))


def test_unknown_opcodes_and_missing_ends_are_refused(network: Network) -> None:
    """Cleared memory is no program, and a program loops."""
    program = compile_network(network, SMALL)
    assert HEADER.fields[0].name == "opcode"
    cleared = replace(program, payload=program.payload[:128] + bytes(64) + program.payload[192:])
    with pytest.raises(ValueError, match=r"^Instruction 2 must have a known opcode, not 0$"):
        _run(cleared, _images(network, 1))
    endless = replace(program, instructions=15)
    with pytest.raises(
        ValueError, match=r"^Program must loop with NEXT before its instructions end$"
    ):
        _run(endless, _images(network, 1))
    with pytest.raises(ValueError, match=r"^Program must fit 64 instruction words, not 176$"):
        GoldenMachine(replace(program, machine=replace(SMALL, instruction_words=64)))


@pytest.mark.parametrize("turns", [-1, 1])
def test_values_are_modulo_36_bits(turns: int, network: Network) -> None:
    """A B that is off by a turn of 2**36 changes nothing; one off by half a turn does."""
    program = compile_network(network, SMALL)
    _, load = _load(program, MemoryId.PARAMETER, 0)
    start = load["offset"]
    images = _images(network)
    for distance, expected in ((turns << 36, None), (turns << 35, "layer0")):
        payload = bytearray(program.payload)
        record = PARAMETER.unpack(int.from_bytes(payload[start : start + 16], "little"))
        record["bias"] += distance
        payload[start : start + 16] = PARAMETER.pack(record).to_bytes(16, "little")
        edited = replace(program, payload=bytes(payload))
        assert _first_difference(network, edited, images) == expected


def test_constants_may_be_loaded_again(network: Network) -> None:
    """A loop over all of the program sees what external memory holds by then."""
    program = _edit(compile_network(network, SMALL), 15, target=1)
    broken = _sabotage(program, 1, "weight")
    image = pack_images(_images(network, 1), program)
    golden = GoldenMachine(program)
    before = golden.execute(image, following=image)
    golden._payload[:] = broken.payload
    after = golden.execute(image)
    assert before.dumps[0] == after.dumps[0]
    assert before.dumps[1] != after.dumps[1]
    assert after == GoldenMachine(broken).execute(image)


def test_a_wrong_image_is_refused(network: Network) -> None:
    """An image is as long as the program says."""
    with pytest.raises(ValueError, match=r"^Image must be 144 bytes long, not 143$"):
        GoldenMachine(compile_network(network, SMALL)).run(bytes(143))


def test_accumulators_that_overflow_are_refused(network: Network) -> None:
    """A program for 20-bit accumulators, with its CHECK forged, on a machine that has 12."""
    program = compile_network(network, SMALL)
    narrow = replace(SMALL, even_bits=12)
    assert CHECK.unpack(program.instruction_words()[0])["fingerprint"] == SMALL.fingerprint
    forged = replace(_edit(program, 0, fingerprint=narrow.fingerprint), machine=narrow)
    with pytest.raises(
        ValueError, match=r"^Accumulators of the even rail must hold 12 bits, not \d+$"
    ):
        _run(forged, _images(network, 1))
