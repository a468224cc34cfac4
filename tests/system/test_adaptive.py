# SPDX-License-Identifier: Apache-2.0
"""Adaptive steps in the Verilog: every tensor, the cycles, and what a wrong beta is blamed on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from adaptive_networks import adapt, draw_contrasts

from tritone.compiler import compile_network, pack_images, predict
from tritone.golden import layers
from tritone.graph import Convolution, Network
from tritone.spec.isa import HEADER, INSTRUCTION_BITS, LAYER, Adaptation, Opcode
from tritone.spec.machine import MachineConfig, preset
from tritone.spec.program import Program
from tritone_sim.verification import Verification, verify

MACHINE = preset("tiny-asq")
IMAGES = 3
SIZE = INSTRUCTION_BITS // 8


@pytest.fixture(scope="module")
def network(step: Any, spec: Any, network_of_steps: Callable[..., Network]) -> Network:
    """Two tensors with betas that differ between images; the first one is read last."""
    ring = (1, 1, 1, 1)
    steps = [
        step(spec=spec(out=8, pad=ring, codebook="int8", bits=8), reads=-1),
        step(spec=spec(out=6, pad=ring), reads=0),
        step(spec=spec(out=9, pad=ring, zero=64), reads=1),
        step(spec=spec(out=9, pad=ring, zero=64), reads=0, adds=2),
    ]
    return adapt(network_of_steps((2, 5, 6), steps, seed=0), adapted=True)


@pytest.fixture(scope="module")
def program(network: Network) -> Program:
    return compile_network(network, MACHINE)


def run(
    model: Any, network: Network, program: Program, folder: Path, given: Program | None = None
) -> Verification:
    """Run the Verilog with ``given``, if it is another one, and the golden machine."""
    program.save(folder / "program.bin")
    packed = pack_images(draw_contrasts(network, IMAGES, seed=0), program)
    return verify(model, given or program, packed, folder, reference=program)


def require_equal(found: Verification, network: Network, program: Program) -> None:
    """Every value of every layer, the logits of the layer model, and the predicted cycles."""
    assert str(found.comparison.divergence) == "None"
    sizes = [tensor.size for tensor in network.tensors.values()]
    assert found.comparison.values == IMAGES * sum(sizes[1:])
    assert found.logit_mismatches == 0
    expected = layers.run(network, draw_contrasts(network, IMAGES, seed=0))
    assert (found.logits == expected[network.output].reshape(IMAGES, -1)).all()
    assert found.free.cycles == predict(program, IMAGES).cycles


@pytest.mark.parametrize("adapted", [False, True], ids=["step", "adapted"])
@pytest.mark.parametrize("kind", ["identity", "pad", "project"])
def test_residual_networks_are_equal(
    kind: str,
    adapted: bool,
    machine_model: Callable[[MachineConfig], Any],
    residual_blocks: Callable[..., Network],
    tmp_path: Path,
) -> None:
    """Both dequantisations, all shortcuts, several betas at once."""
    for seed in range(2):
        network = adapt(residual_blocks(kind, seed), adapted, seed)
        program = compile_network(network, MACHINE)
        found = run(machine_model(MACHINE), network, program, tmp_path)
        require_equal(found, network, program)


@pytest.mark.parametrize("seed", range(6))
def test_random_readers_are_equal(
    seed: int,
    machine_model: Callable[[MachineConfig], Any],
    random_adaptive: Callable[[int], Network],
    tmp_path: Path,
) -> None:
    """Bits and headroom of all kinds, betas at their bounds."""
    network = random_adaptive(seed)
    program = compile_network(network, MACHINE)
    require_equal(run(machine_model(MACHINE), network, program, tmp_path), network, program)


def test_static_networks_are_equal(
    machine_model: Callable[[MachineConfig], Any], every_operator: Network, tmp_path: Path
) -> None:
    """What has fixed steps only runs as on any machine."""
    program = compile_network(every_operator, MACHINE)
    found = run(machine_model(MACHINE), every_operator, program, tmp_path)
    require_equal(found, every_operator, program)


def test_the_betas_tell_images_apart(network: Network) -> None:
    """Else a beta of another image would pass."""
    tensors = layers.run(network, draw_contrasts(network, IMAGES, seed=0))
    for node in network.nodes:
        if isinstance(node, Convolution) and node.gain:
            assert len(set(tensors[node.gain.tensor].reshape(-1).tolist())) == IMAGES


def adaptive_layers(program: Program, *kinds: Adaptation) -> list[tuple[int, dict[str, int]]]:
    """Return index and fields of all layers, of all bodies of the loop, of these kinds."""
    found = []
    for index, word in enumerate(program.instruction_words()):
        if word & HEADER.fields[0].high in (Opcode.CONVOLVE, Opcode.POOL):
            fields = LAYER.unpack(word)
            if fields["adaptation"] in kinds:
                found.append((index, fields))
    return found


def edited(program: Program, index: int, **changes: int) -> Program:
    """Return the program with other fields of a layer."""
    fields = LAYER.unpack(program.instruction_words()[index])
    data = LAYER.pack({**fields, **changes}).to_bytes(SIZE, "little")
    payload = program.payload[: index * SIZE] + data + program.payload[(index + 1) * SIZE :]
    return replace(program, payload=payload)


def blamed(found: Verification) -> tuple[str, int]:
    """Return the layer and the image that the bench names."""
    assert found.comparison.divergence is not None
    return found.comparison.divergence.layer, found.comparison.divergence.image


def readers(network: Network) -> list[str]:
    """Return the layers that read with a beta."""
    return [node.name for node in network.nodes if isinstance(node, Convolution) and node.gain]


def test_a_beta_that_is_kept_once(
    machine_model: Callable[[MachineConfig], Any],
    network: Network,
    program: Program,
    tmp_path: Path,
) -> None:
    """The second image reads with the beta of the first: its first reader is blamed."""
    makers = adaptive_layers(program, Adaptation.BETA)
    second = makers[len(makers) // 2]
    given = edited(program, second[0], adaptation=Adaptation.NONE, beta_register=0)
    found = run(machine_model(MACHINE), network, program, tmp_path, given)
    assert blamed(found) == (readers(network)[0], 1)


def test_a_wrong_register(
    machine_model: Callable[[MachineConfig], Any],
    network: Network,
    program: Program,
    tmp_path: Path,
) -> None:
    """A reader that takes another tensor's beta."""
    reading = adaptive_layers(program, Adaptation.ADAPTED)
    registers = [fields["beta_register"] for _, fields in reading]
    other = next(place for place, each in enumerate(registers) if each != registers[0])
    assert other < len(reading) // 2, "in the first body"
    index, _ = reading[other]
    given = edited(program, index, beta_register=registers[0])
    found = run(machine_model(MACHINE), network, program, tmp_path, given)
    assert blamed(found) == (readers(network)[other], 0)


def test_the_other_dequantisation(
    machine_model: Callable[[MachineConfig], Any],
    network: Network,
    program: Program,
    tmp_path: Path,
) -> None:
    """M does not follow beta where it should."""
    index, _ = adaptive_layers(program, Adaptation.ADAPTED)[0]
    given = edited(program, index, adaptation=Adaptation.STEP)
    found = run(machine_model(MACHINE), network, program, tmp_path, given)
    assert blamed(found)[0] == readers(network)[0]


def test_the_rounding_of_the_reciprocal(
    machine_model: Callable[[MachineConfig], Any],
    network: Network,
    program: Program,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A division that rounds down is found where its quotient is read with."""
    from tritone_hw import reciprocal

    right = reciprocal.dividend
    monkeypatch.setattr(reciprocal, "dividend", lambda beta: right(beta) & (1 << 18))
    model = machine_model(replace(MACHINE, name="wrong-reciprocal"))
    found = run(model, network, program, tmp_path)
    assert blamed(found)[0] in readers(network)
