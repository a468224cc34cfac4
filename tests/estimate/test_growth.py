# SPDX-License-Identifier: Apache-2.0
"""What cells grow with is what the gateware repeats."""

from __future__ import annotations

from dataclasses import replace

from tritone.estimate.growth import GROWTH
from tritone.spec.machine import PRESETS, ArrayKind, preset
from tritone_hw.synthesis.blocks import MODULES


def test_every_module_of_the_machine_has_terms() -> None:
    """The modules are those that synthesis counts."""
    assert set(GROWTH) == set(MODULES)


def test_modules_that_a_machine_does_not_have() -> None:
    """Only machines that pack weights have what unpacks them."""
    for machine in PRESETS.values():
        absent = {path for path, terms in GROWTH.items() if not terms(machine)}
        unpackers = {"engine.code_unpacker", "engine.terms_memory"}
        assert absent == (set() if machine.packing else unpackers)


def test_the_array_grows_with_its_units() -> None:
    """Twice the pixels are twice the dot-product units, of the weights' registers no more."""
    machine = preset("ecp5_25")
    once, twice = (GROWTH["engine.array"](replace(machine, pixels=n)) for n in (1, 2))
    assert once["post macs"] * 2 == twice["post macs"] == 512
    assert once["post outputs"] * 2 == twice["post outputs"] == 32
    assert once["post weights"] == twice["post weights"] == 256
    # 20 + 19 bits of accumulators in each of 16 and of 32 units.
    assert (once["accumulators"], twice["accumulators"]) == (624, 1248)


def test_kinds_have_weights_of_their_own() -> None:
    """Terms of one kind of array are not those of another."""
    post, uniform = (
        GROWTH["engine.array"](replace(preset("tiny"), array=kind))
        for kind in (ArrayKind.POST, ArrayKind.UNIFORM)
    )
    shared = {"1", "inputs", "branches", "accumulators"}
    assert post.keys() & uniform.keys() == shared
