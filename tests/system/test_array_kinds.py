# SPDX-License-Identifier: Apache-2.0
"""Whole networks on arrays of integers and of powers of two: Verilog, golden machine and layers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tritone.compiler import compile_network, pack_images, passes, predict
from tritone.golden import layers
from tritone.graph import Network, PoolKind
from tritone.spec.machine import ArrayKind, preset
from tritone_sim.verification import Verification, verify

COUNT = 2
MACHINES = {ArrayKind.UNIFORM: preset("tiny_uniform"), ArrayKind.POT: preset("tiny_pot")}
RING = (1, 1, 1, 1)


def images(network: Network) -> np.ndarray:
    """Return random raw bytes (image, channel, y, x)."""
    shape = network.tensors[network.input].shape
    return np.random.default_rng(2).integers(0, 256, (COUNT, *shape)).astype(np.uint8)


def run(
    network: Network, array: ArrayKind, machine_model: Callable[..., Any], folder: Path
) -> Verification:
    """Return the verification of random images, whose cycles are those predicted."""
    machine = MACHINES[array]
    program = compile_network(network, machine)
    packed = pack_images(images(network), program)
    found = verify(machine_model(machine), program, packed, folder)
    assert found.free.cycles == predict(program, COUNT).cycles
    return found


def check(
    network: Network, array: ArrayKind, machine_model: Callable[..., Any], folder: Path
) -> None:
    """Every value of every tensor is that of the golden machine and of the golden layers."""
    found = run(network, array, machine_model, folder)
    assert str(found.comparison.divergence) == "None"
    assert found.comparison.mismatches == 0
    assert found.logit_mismatches == 0
    expected = layers.run(network, images(network))
    assert (found.logits == expected[network.output].reshape(COUNT, -1)).all()


@pytest.mark.parametrize(
    ("array", "books"),
    [(ArrayKind.UNIFORM, ("int4",)), (ArrayKind.POT, ("pot4",))],
    ids=["int4", "pot4"],
)
@pytest.mark.parametrize("kind", ["identity", "pad", "project"])
def test_residual_networks_are_equal(
    kind: str,
    array: ArrayKind,
    books: tuple[str, ...],
    machine_model: Callable[..., Any],
    residual_blocks: Callable[..., Network],
    tmp_path: Path,
) -> None:
    """4-bit weights in one pass between edges of int8, all kinds of shortcuts, an average."""
    check(residual_blocks(kind, seed=1, books=books), array, machine_model, tmp_path)


@pytest.mark.parametrize(
    ("array", "books"),
    [
        (ArrayKind.UNIFORM, "int8 int4 odd2 odd3 odd4 odd7 int6 pot4 apot5 fp4_e2m1 ternary"),
        (ArrayKind.POT, "int8 pot4 int4 apot4 fp4_e2m1 ternary odd2 odd3 pot3"),
    ],
    ids=["uniform", "pot"],
)
def test_codebooks_of_every_kind_are_equal(
    array: ArrayKind,
    books: str,
    machine_model: Callable[..., Any],
    random_network: Callable[..., Network],
    spec: Any,
    tmp_path: Path,
) -> None:
    """1 to 4 passes, 8-bit activations nibble by nibble, a maximum, binary weights behind all."""
    specs = [
        spec(out=9, codebook=book, bits=4 + 4 * (book in ("int8", "odd3")), pad=RING)
        for book in books.split()
    ]
    specs.insert(3, spec(kernel=(2, 2), pad=(1, 0, 0, 1), kind=PoolKind.MAX))
    specs.append(spec(out=5, kernel=(5, 6), codebook="binary", bits=3, wide=True))
    network = random_network((3, 5, 6), specs, seed=7)
    check(network, array, machine_model, tmp_path)


@pytest.mark.parametrize(
    ("array", "wrong"),
    [
        # The constant of a step; the complement of a negative power.
        (ArrayKind.UNIFORM, {"_step_excess": lambda machine: 8 * ((1 << machine.plane_bits) - 2)}),
        (ArrayKind.POT, {"_INVERTED": {ArrayKind.POT: {"even": 1022, "odd": 0}}}),
    ],
    ids=["uniform", "pot"],
)
def test_constants_of_the_array(
    array: ArrayKind,
    wrong: dict[str, Any],
    machine_model: Callable[..., Any],
    residual_blocks: Callable[..., Network],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A compiler that takes back a little less makes programs that Verilog and golden machine run
    alike, and unlike the layers."""
    book = {ArrayKind.UNIFORM: "int4", ArrayKind.POT: "pot4"}[array]
    network = residual_blocks("identity", seed=1, books=(book,))
    for name, value in wrong.items():
        monkeypatch.setattr(passes, name, value)
    found = run(network, array, machine_model, tmp_path)
    assert str(found.comparison.divergence) == "None"
    expected = layers.run(network, images(network))[network.output]
    assert (found.logits != expected.reshape(COUNT, -1)).any()
