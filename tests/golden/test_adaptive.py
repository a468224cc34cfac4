# SPDX-License-Identifier: Apache-2.0
"""Adaptive steps from the bytes of a program: registers of beta, G, and M that follows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from math import floor
from typing import Any

import numpy as np
import pytest
from adaptive_networks import adapt, draw_contrasts

from tritone.compiler import compile_network, pack_images
from tritone.golden import fast, layers
from tritone.golden.machine import GoldenMachine
from tritone.golden.memory import BetaRegisters
from tritone.graph import Network
from tritone.spec.isa import LAYER, Adaptation
from tritone.spec.machine import MachineConfig, preset
from tritone.spec.program import Program

MACHINES = [
    preset("tiny-asq"),
    MachineConfig(
        name="few-columns", rows=16, columns=4, pixels=4, requantizer_slots=4, adaptive=True
    ),
]


def run(program: Program, images: Any) -> dict[str, Any]:
    """Every tensor, (image, channel, y, x), as the machine computes it."""
    golden, size = GoldenMachine(program), program.metadata["image"]["bytes"]
    data = pack_images(images, program)
    runs = [golden.run(data[start : start + size]) for start in range(0, len(data), size)]
    names = [entry["name"] for entry in program.metadata["tensors"]]
    return {
        name: np.stack(values) for name, values in zip(names, zip(*runs, strict=True), strict=True)
    }


def require_equal(network: Network, machine: MachineConfig, images: Any) -> None:
    """Machine, layers and fast agree in every tensor."""
    found = run(compile_network(network, machine), images)
    expected, quick = layers.run(network, images), fast.run(network, images)
    for name, values in found.items():
        assert (values == expected[name]).all(), name
        assert (quick[name] == expected[name]).all(), name
    assert set(found) == set(network.tensors) - {network.input}


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
@pytest.mark.parametrize("seed", range(16))
def test_readers(
    seed: int, machine: MachineConfig, random_adaptive: Callable[[int], Network]
) -> None:
    """1 to 7 bits, no headroom to two bits of it, both rules."""
    network = random_adaptive(seed)
    require_equal(network, machine, draw_contrasts(network, 3, seed))


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
@pytest.mark.parametrize("adapted", [False, True], ids=["step", "adapted"])
@pytest.mark.parametrize("kind", ["identity", "pad", "project"])
def test_residual_networks(
    kind: str,
    adapted: bool,
    machine: MachineConfig,
    residual_blocks: Callable[..., Network],
) -> None:
    """Adapters of every tensor between blocks."""
    network = adapt(residual_blocks(kind, 1), adapted, seed=1)
    require_equal(network, machine, draw_contrasts(network, 3, seed=1))


def test_every_reciprocal() -> None:
    """1 / beta in U2.8, rounded half up; the register gives it and beta itself."""
    registers = BetaRegisters()
    for beta in range(512, 2049):
        registers.keep(2, beta)
        assert registers.beta(2) == beta
        assert registers.gain(2) == floor(Fraction(1 << 18, beta) + Fraction(1, 2))


def test_what_is_no_beta_is_refused() -> None:
    """Values beyond 1/2..2, and registers that hold none."""
    registers = BetaRegisters()
    for beta in (511, 2049):
        with pytest.raises(ValueError, match=rf"^Beta must be in 512\.\.2048, not {beta}$"):
            registers.keep(0, beta)
    with pytest.raises(ValueError, match=r"^Beta register 1 must be filled before it is read$"):
        registers.gain(1)


def _edited(program: Program, index: int, **changes: int) -> Program:
    word = LAYER.pack({**LAYER.unpack(program.instruction_words()[index]), **changes})
    payload = program.payload[: 64 * index] + word.to_bytes(64, "little")
    return replace(program, payload=payload + program.payload[64 * index + 64 :])


def test_sabotage_shows_in_the_reader(random_adaptive: Callable[[int], Network]) -> None:
    """The other rule, no beta, and headroom that is not that of the layer."""
    network = next(n for n in map(random_adaptive, range(99)) if n.nodes[-1].gain.adapted)
    program = compile_network(network, MACHINES[0])
    images = draw_contrasts(network, 3, seed=0)
    right = run(program, images)
    index = program.metadata["tensors"][-1]["instructions"][0]
    fields = LAYER.unpack(program.instruction_words()[index])
    for changes in (
        {"adaptation": Adaptation.STEP},
        {"adaptation": Adaptation.NONE},
        {"read_shift": fields["read_shift"] + 1},
    ):
        wrong = run(_edited(program, index, **changes), images)
        assert [name for name in right if not (wrong[name] == right[name]).all()] == ["result"]
    with pytest.raises(ValueError, match=r"^Beta register 3 must be filled before it is read$"):
        run(_edited(program, index, beta_register=3), images)


def test_static_machines_refuse_adaptive_steps(every_operator: Network) -> None:
    """Whatever the program does with one."""
    program = compile_network(every_operator, preset("tiny"))
    index = program.metadata["tensors"][2]["instructions"][0]
    for adaptation in (Adaptation.BETA, Adaptation.STEP, Adaptation.ADAPTED):
        message = (
            rf"^Instruction {index} must have no adaptive step on a machine without them, "
            rf"not {adaptation.name}$"
        )
        with pytest.raises(ValueError, match=message):
            run(
                _edited(program, index, adaptation=adaptation),
                draw_contrasts(every_operator, 1, seed=0),
            )
