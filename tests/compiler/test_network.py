# SPDX-License-Identifier: Apache-2.0
"""Compilation as a whole: what fits is a program, what does not is refused by its layer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tritone.compiler import compile_network
from tritone.graph import Network
from tritone.spec.machine import PRESETS, RequantizerKind, preset


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_every_preset_compiles(
    name: str,
    spec: Any,
    random_network: Callable[..., Network],
    half_octaves: Callable[..., Network],
) -> None:
    """A small network fits them all, and carries the fingerprint of its machine."""
    book = {"post": "post4", "uniform": "int4", "pot": "pot4"}[preset(name).array]
    layers = [spec(out=8, codebook=book), spec(out=10, kernel=(6, 6), codebook=book, wide=True)]
    network = random_network((1, 8, 8), layers)
    if preset(name).requantizer is RequantizerKind.HALF_OCTAVE:
        network = half_octaves(network)
    program = compile_network(network, preset(name))
    assert program.machine.fingerprint == preset(name).fingerprint


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"feature_words": 8},
            r"^Layer layer0 must fit 8 feature words in group 0 with 1 of 6 rows .*, not 12$",
        ),
        (
            {"weight_words": 8},
            r"^Layer layer0 must fit 8 weight words with one output group, not 9$",
        ),
        (
            {"parameter_words": 4},
            r"^Layer layer0 must fit 4 parameter words with one output group, not 8$",
        ),
        (
            {"even_bits": 12},
            r"^Layer layer1 must fit one walk in the even accumulators, 4095, not \d+$",
        ),
    ],
)
def test_small_machines_are_refused(
    change: dict[str, int], message: str, spec: Any, random_network: Callable[..., Network]
) -> None:
    """Each memory and width of the machine, with the first layer that it is too small for."""
    network = random_network((1, 8, 8), [spec(out=8), spec(out=10, kernel=(6, 6), wide=True)])
    with pytest.raises(ValueError, match=message):
        compile_network(network, replace(preset("tiny"), **change))


def test_the_largest_layer_is_accepted(spec: Any, random_network: Callable[..., Network]) -> None:
    """4608 taps of int8 by 8 bits with zero 255, all negative: B and sums fit."""
    network = random_network((512, 3, 3), [spec(out=1, codebook="int8", bits=8)], zero=255)
    network.nodes[0].codes[...] = 0x99  # -7 * 16 - 7
    machine = replace(preset("demo"), feature_words=1024, weight_words=2048)
    program = compile_network(network, machine)
    assert program.metadata["tensors"][0]["macs"] == 4608
