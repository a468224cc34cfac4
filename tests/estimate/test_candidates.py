# SPDX-License-Identifier: Apache-2.0
"""Machines for a network: shapes that could run it, memories that hold it, exact cycles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tritone.compiler import compile_network, describe, memory_needs
from tritone.estimate import NotMapped, area_model
from tritone.estimate.candidates import TooLarge, candidate, shapes
from tritone.graph import Network
from tritone.spec.area import lacking
from tritone.spec.catalog import codebook
from tritone.spec.device import Device, device
from tritone.spec.level import Level
from tritone.spec.machine import ArrayKind, MachineConfig, RequantizerKind

PLACE = device("ecp5-85k")
MODEL = area_model(PLACE.family)


@pytest.fixture
def network(spec: Any, random_network: Callable[..., Network]) -> Network:
    """A network of powers of sqrt 2 with 48 words of weights on 8x8."""
    layers = [spec(out=16, pad=(1, 1, 1, 1)), spec(out=8, kernel=(3, 3)), spec(out=10, wide=True)]
    return random_network((1, 8, 8), layers)


def shape(network: Network, name: str) -> MachineConfig:
    """Return the shape of that name."""
    return next(each for each in shapes(network) if each.name == name)


def test_shapes(network: Network) -> None:
    """All sizes of all kinds once, no more columns than rows, requantisers of what it needs."""
    found = list(shapes(network))
    assert len({machine.fingerprint for machine in found}) == len(found)
    assert {machine.array for machine in found} == set(ArrayKind)
    assert {(machine.rows, machine.columns, machine.pixels) for machine in found} >= {
        (8, 4, 1),
        (8, 8, 1),
        (16, 16, 4),
        (32, 8, 2),
    }
    assert all(machine.requantizer is RequantizerKind.MULTIPLIER for machine in found)
    assert not any(machine.adaptive for machine in found)


def test_networks_without_multipliers(
    network: Network, half_octaves: Callable[..., Network]
) -> None:
    """They get machines without them."""
    found = list(shapes(half_octaves(network)))
    assert {machine.requantizer for machine in found} == {RequantizerKind.HALF_OCTAVE}


def test_wide_images(spec: Any, random_network: Callable[..., Network]) -> None:
    """The lines of the window gatherer are as long as the padded image at least."""
    wide = random_network((3, 4, 100), [spec(out=8, pad=(1, 1, 1, 1)), spec(out=8, wide=True)])
    assert {machine.gather_width for machine in shapes(wide)} == {128}


def test_a_candidate(network: Network) -> None:
    """Its cycles are those of its program, its area what is estimated, and it fits."""
    found = candidate(network, shape(network, "post_8x8x1_8"), PLACE, MODEL)
    assert found.cycles == describe(compile_network(network, found.machine)).cycles
    assert found.area == MODEL.estimate(found.machine).area
    assert lacking(found.area, PLACE) == []


def test_memories_hold_the_network(spec: Any, random_network: Callable[..., Network]) -> None:
    """Powers of two of at least 512 words, each as deep as the network needs."""
    layers = [spec(out=256, kernel=(1, 1)), spec(out=256, kernel=(1, 1), wide=True)]
    network = random_network((8, 4, 4), layers)
    machine = candidate(network, shape(network, "post_16x4x1_4"), PLACE, MODEL).machine
    # 64 groups of 4 slots twice; 64 words of weights, and 64 times 16; image, 16 channel words of
    # 8 in each bank, and 16 of 16 for each of two results.
    assert machine.parameter_words == 512
    assert machine.weight_words == 2048
    needs = memory_needs(network, machine)
    assert (needs.parameter, needs.weight) == (512, 64 + 1024)
    assert machine.feature_words >= needs.feature > machine.feature_words // 2 or (
        needs.feature <= machine.feature_words == 512
    )
    wider = candidate(network, shape(network, "post_16x8x1_8"), PLACE, MODEL).machine
    deeper = random_network((8, 4, 4), [layers[0], *layers])
    assert wider.parameter_words == 512
    more = candidate(deeper, shape(deeper, "post_16x8x1_8"), PLACE, MODEL).machine
    assert more.parameter_words == 1024


def test_memories_shrink_to_the_device(spec: Any, random_network: Callable[..., Network]) -> None:
    """Where there are too few block memories for a network the largest memory is halved."""
    layers = [spec(out=64), spec(out=64), spec(out=10, kernel=(4, 4), wide=True)]
    network = random_network((1, 8, 8), layers)
    machine = shape(network, "post_8x4x1_4")
    whole = candidate(network, machine, PLACE, MODEL)
    # Words of 8 x 4: 16 groups of 9 words, 16 of 72 and 3 of 128.
    assert whole.machine.weight_words == 2048 > 16 * 9 + 16 * 72 + 3 * 128 > 1024
    fewer = replace(PLACE, bram=int(whole.area.bram) - 1)
    pieces = candidate(network, machine, fewer, MODEL)
    assert pieces.machine == replace(whole.machine, weight_words=1024)
    assert lacking(pieces.area, fewer) == []
    assert pieces.cycles > whole.cycles
    # The least: 8 of features, 4 of weights, 4 of parameters, 2 of instructions, 2 of lines.
    message = r"^Machine post_8x4x1_4 must fit ecp5-85k, not need 20 bram \(it has 19\)$"
    with pytest.raises(TooLarge, match=message):
        candidate(network, machine, replace(PLACE, bram=19), MODEL)


def test_weights_of_few_levels_are_packed(
    spec: Any, random_network: Callable[..., Network]
) -> None:
    """Where their memory is smaller then: three levels take 2 bits, 16 levels 4."""
    few, many = (
        random_network(
            (1, 8, 8),
            [spec(out=64, codebook=book), spec(out=64, codebook=book), spec(out=10, wide=True)],
        )
        for book in ("ternary", "post4")
    )
    # On 8 x 8 the weights take 8 groups of 9 words, 8 of 72 and 2 of 72, 792; packed about half.
    packed = candidate(few, shape(few, "post_8x8x1_8"), PLACE, MODEL).machine
    plain = candidate(many, shape(many, "post_8x8x1_8"), PLACE, MODEL).machine
    assert (packed.packing, packed.weight_words) == (True, 512)
    assert (plain.packing, plain.weight_words) == (False, 1024)


def test_accumulators_as_wide_as_the_sums(
    spec: Any, random_network: Callable[..., Network]
) -> None:
    """12,800 terms of 15 * 8 at most exceed 20 bits."""
    layers = [spec(out=8, kernel=(5, 5), wide=True)]
    network = random_network((512, 5, 5), layers)
    (layer,) = network.nodes
    layer.codes[...] = codebook("post4").levels.index(Level(8))
    machine = candidate(network, shape(network, "post_8x8x1_8"), PLACE, MODEL).machine
    assert 12_800 * 15 * 8 >= 1 << 20
    assert machine.even_bits == 24


def test_what_is_refused(network: Network) -> None:
    """A device that is too small, and shapes that nobody mapped."""
    small = Device(
        name="small",
        family=PLACE.family,
        part="",
        package="",
        sites=5000,
        ff=5000,
        bram=200,
        bram_bits=18 << 10,
        dsp=10,
    )
    with pytest.raises(TooLarge, match=r"^Machine post_8x8x1_8 must fit small, not need [\d,]+ si"):
        candidate(network, shape(network, "post_8x8x1_8"), small, MODEL)
    message = (
        r"^Machine post_64x64x8_8 must have rows in 8\.\.32, as those that were mapped, not 64$"
    )
    with pytest.raises(NotMapped, match=message):
        candidate(network, shape(network, "post_64x64x8_8"), PLACE, MODEL)
