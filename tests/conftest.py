# SPDX-License-Identifier: Apache-2.0
"""Fixtures for the tests of every package."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from random_joined import draw_joined
from random_networks import (
    Spec,
    Step,
    draw_adaptive,
    draw_blocks,
    draw_chain,
    draw_network,
    draw_residual,
    draw_steps,
    to_half_octaves,
)

from tritone.graph import Network, PoolKind
from tritone.spec.machine import MachineConfig

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def spec() -> type[Spec]:
    """The description of a layer to draw."""
    return Spec


@pytest.fixture(scope="session")
def random_network() -> Callable[..., Network]:
    """``random_network(shape, specs, seed, zero)``: a chain of random layers."""
    return draw_network


@pytest.fixture(scope="session")
def random_chain() -> Callable[[int], Network]:
    """``random_chain(seed)``: one to four random layers of all kinds, some padding, some zeros."""
    return draw_chain


@pytest.fixture(scope="session")
def random_residual() -> Callable[[int], Network]:
    """``random_residual(seed)``: convolutions with shortcuts and groups."""
    return draw_residual


@pytest.fixture(scope="session")
def random_joined() -> Callable[..., Network]:
    """``random_joined(seed, channels)``: layers that read concatenations."""
    return draw_joined


@pytest.fixture(scope="session")
def random_adaptive() -> Callable[[int], Network]:
    """``random_adaptive(seed)``: a convolution that reads with an adaptive step."""
    return draw_adaptive


@pytest.fixture(scope="session")
def step() -> type[Step]:
    """The description of a layer of a network that is no chain."""
    return Step


@pytest.fixture(scope="session")
def network_of_steps() -> Callable[..., Network]:
    """``network_of_steps(shape, steps, seed)``: layers that read and add what their steps say."""
    return draw_steps


@pytest.fixture(scope="session")
def residual_blocks() -> Callable[..., Network]:
    """``residual_blocks(kind, seed, channels, books)``: two blocks; identity, pad, project."""
    return draw_blocks


@pytest.fixture(scope="session")
def half_octaves() -> Callable[..., Network]:
    """``half_octaves(network, seed)``: a network like it for machines without multipliers."""
    return to_half_octaves


@pytest.fixture(scope="session")
def every_operator() -> Network:
    """A random network on images of the digits' size with every operator and both kinds of edges.

    8-bit first and last layers, 4-bit POST layers of stride 1 and 2 between, both pools.
    """
    ring = (1, 1, 1, 1)
    return draw_network(
        (1, 8, 8),
        (
            Spec(out=8, codebook="int8", bits=8, pad=ring, zero=16),
            Spec(out=16, stride=2, pad=ring, zero=32),
            Spec(kernel=(2, 2), stride=1, kind=PoolKind.MAX),
            Spec(out=20, pad=ring, zero=48),
            Spec(kernel=(3, 3), kind=PoolKind.AVERAGE),
            Spec(out=10, kernel=(1, 1), codebook="int8", bits=8, wide=True),
        ),
        seed=1,
    )


@pytest.fixture(scope="session")
def machine_model() -> Callable[[MachineConfig], Any]:
    """``machine_model(machine)``: its compiled Verilog; built once, in the project's own cache."""
    from tritone_sim import simulate

    def build(machine: MachineConfig) -> Any:
        return simulate.machine_model(machine, build=ROOT / "build")

    return functools.cache(build)


@pytest.fixture(scope="session")
def bare_model() -> Callable[[MachineConfig], Path]:
    """``bare_model(machine)``: the program that runs its Verilog without cocotb; built once."""
    from tritone_sim import simulate

    def build(machine: MachineConfig) -> Path:
        return simulate.bare_model(machine, build=ROOT / "build")

    return functools.cache(build)


@pytest.fixture(scope="session")
def ray_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home for Ray's password: the same for all tests, for a process reads it only once."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def own_ray(ray_home: Path) -> Iterator[None]:
    """A Ray of our own can be started; skips where Ray is missing.

    Its password does not go into the user's home. Its workers give way to nobody: on a busy
    machine that is for ever.
    """
    pytest.importorskip("ray", reason="ray is missing: pip install -e '.[cluster]'")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(ray_home))
        patch.setenv("RAY_worker_niceness", "0")
        yield
