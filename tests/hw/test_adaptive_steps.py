# SPDX-License-Identifier: Apache-2.0
"""Layers that make and read betas through the engine of an adaptive machine."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from engine_host import machine, run
from layer_by_definition import Gain, Layer, Shortcut

from tritone.spec.isa import PoolMode
from tritone.spec.machine import ArrayKind, MachineConfig

ADAPTIVE = machine(8, 8, 2, 4, 32, adaptive=True)
FEW_COLUMNS = machine(16, 4, 4, 4, 32, adaptive=True)
FIXED = Layer(channels=(8, 8), size=(4, 5), kernel=(3, 3), stride=2, pad=(1, 1, 1, 1))


def made(beta: int, register: int) -> Layer:
    """Return a layer that makes a beta."""
    return Layer(
        channels=(5, 1),
        size=(1, 1),
        codebook="int8",
        bits=8,
        wide=True,
        makes_beta=(beta, register),
    )


def reading(beta: int, register: int, adapted: bool, **changes: Any) -> Layer:
    """Return a layer that reads with a beta."""
    gain = Gain(beta=beta, register=register, adapted=adapted)
    plain = Layer(channels=(5, 9), size=(3, 5), kernel=(3, 3), pad=(1, 1, 1, 1), seed=beta)
    return replace(plain, gain=gain, **changes)


ADAPTED = {
    "a fixed step before any beta": FIXED,
    "the least beta": made(512, 0),
    "read at once": reading(512, 0, adapted=True),
    "the largest": made(2048, 3),
    "another register": made(1337, 1),
    "the first again": reading(512, 0, adapted=False),
    "M follows the largest": reading(2048, 3, adapted=True, bits=7),
    "M does not": reading(2048, 3, adapted=False, bits=2),
    "a shortcut is read without beta": reading(
        1337, 1, adapted=True, shortcut=Shortcut(channels=9, zero=9, in_place=True)
    ),
    "a register filled again": made(777, 1),
    "several drains": reading(777, 1, adapted=True, codebook="int6", bits=6, size=(2, 3)),
    "wide": reading(777, 1, adapted=False, wide=True),
    "a fixed step": replace(FIXED, channels=(10, 8), zero=16, pad_code=1),
    "eight bits": replace(FIXED, codebook="int8", bits=8, zero=128, pad_code=128),
    "a pool": replace(FIXED, pool=PoolMode.SUM, zero=37),
}


@pytest.mark.parametrize(
    ("shape", "count"),
    [(ADAPTIVE, len(ADAPTED)), (FEW_COLUMNS, 3)],
    ids=["adaptive", "few columns"],
)
def test_adaptive_steps(shape: MachineConfig, count: int) -> None:
    """Betas of several registers, both rules for M; fixed steps beside them as on any machine."""
    run(shape, dict(list(ADAPTED.items())[:count]))


def test_adaptive_steps_of_integers() -> None:
    """On an array of integers these are what they are on any."""
    shape = replace(ADAPTIVE, name="integers", array=ArrayKind.UNIFORM)
    own = {"post4": "int4"}
    run(
        shape,
        {
            name: replace(layer, codebook=own.get(layer.codebook, layer.codebook))
            for name, layer in ADAPTED.items()
        },
    )
