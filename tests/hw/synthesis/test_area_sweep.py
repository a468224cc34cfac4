# SPDX-License-Identifier: Apache-2.0
"""The machines of the sweep: what they vary, and what is kept away from the fit."""

from __future__ import annotations

from tritone.estimate.sweep_table import read_sweep
from tritone.spec.device import Family
from tritone.spec.machine import ArrayKind, RequantizerKind
from tritone_hw.synthesis.area_sweep import HELD_OUT, fitted_machines, held_out_machines
from tritone_hw.synthesis.blocks import BLOCKS, MODULES, block_of


def test_no_machine_is_fitted_and_held_out() -> None:
    """The machines on which the error is measured are none of those that are fitted."""
    fitted = [machine.fingerprint for machine in fitted_machines()]
    held = [machine.fingerprint for machine in held_out_machines()]
    assert len(held) == HELD_OUT == len(set(held))
    assert len(fitted) == len(set(fitted))
    assert set(fitted) & set(held) == set()


def test_the_held_out_machines_are_always_the_same() -> None:
    """They are drawn by a seed of their own, and there are some of each kind."""
    held = held_out_machines()
    assert held == held_out_machines()
    assert {machine.array for machine in held} == set(ArrayKind)
    assert {machine.requantizer for machine in held} == set(RequantizerKind)
    assert {machine.adaptive for machine in held} == {machine.packing for machine in held}
    assert {machine.packing for machine in held} == {False, True}
    assert max(machine.macs_per_cycle for machine in held) == 512


def test_every_parameter_varies() -> None:
    """Each that an area depends on has two values at least among the fitted machines."""
    machines = fitted_machines()
    for name in vars(machines[0]):
        assert len({getattr(machine, name) for machine in machines}) > 1, name


def test_the_table_is_of_these_machines() -> None:
    """What is committed is what the sweep maps, in its order, and nothing else is fitted."""
    table = read_sweep(Family.ECP5)
    assert [row.machine for row in table.fitted] == fitted_machines()
    assert [row.machine for row in table.held_out] == held_out_machines()


def test_blocks_of_the_table() -> None:
    """The committed table tells the block of each module, in the order of a synthesis."""
    blocks = read_sweep(Family.ECP5).blocks
    assert blocks == {path: block_of(path) for path in MODULES}
    assert tuple(dict.fromkeys(blocks.values())) == BLOCKS
