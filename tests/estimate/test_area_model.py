# SPDX-License-Identifier: Apache-2.0
"""The fit finds the law behind a table; estimates come near machines that were mapped."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

import pytest

from tritone.estimate import AreaModel, NotMapped, area_model
from tritone.estimate.sweep_table import SweepRow, SweepTable, read_sweep
from tritone.spec.area import Area
from tritone.spec.device import Family
from tritone.spec.machine import ArrayKind, MachineConfig, preset

MODULES = read_sweep(Family.ECP5).blocks


def law(machine: MachineConfig) -> dict[str, Area]:
    """Return made-up cells: a pool of 11 sites and 7 flip-flops an output and some around them."""
    outputs = machine.columns * machine.pixels
    parts = dict.fromkeys(MODULES, Area(sites=100, ff=10))
    parts["engine.pool"] = Area(sites=300 + 11 * outputs, ff=40 + 7 * outputs)
    return parts


def table(machines: Iterable[MachineConfig]) -> SweepTable:
    """Return a sweep of machines of that law."""
    rows = tuple(SweepRow(machine=machine, parts=law(machine)) for machine in machines)
    return SweepTable(tool="none", blocks=MODULES, fitted=rows, held_out=())


def shape(columns: int, pixels: int, **change: int) -> MachineConfig:
    """Return a machine of 16 rows that packs its weights, so that it has all modules."""
    return replace(
        preset("tiny-packed"),
        rows=16,
        columns=columns,
        pixels=pixels,
        requantizer_slots=4,
        **change,
    )


MACHINES = [shape(4, 1), shape(8, 1), shape(16, 1), shape(4, 2), shape(8, 4), shape(16, 2)]


def test_the_fit_finds_a_law() -> None:
    """A machine that the table does not have gets what the law says, to the last cell."""
    model = AreaModel(table(MACHINES))
    other = shape(16, 4)
    assert model.module("engine.pool", other) == Area(sites=300 + 11 * 64, ff=40 + 7 * 64)
    found = model.estimate(other)
    assert found.blocks["pool"].sites == 1004
    # Features, weights, parameters and terms.
    assert found.blocks["memories"].sites == 4 * 100
    assert list(found.blocks) == list(dict.fromkeys(MODULES.values()))
    assert found.area.sites == sum(area.sites for area in found.blocks.values())


def test_what_lies_beyond_is_told() -> None:
    """Parameters that no machine of the table is near, with the range that it has."""
    model = AreaModel(table(MACHINES))
    assert model.estimate(shape(16, 4)).outside == {}
    assert model.estimate(shape(16, 8)).outside == {"pixels": (1, 4)}
    assert model.estimate(shape(8, 1, even_bits=24)).outside == {"even_bits": (20, 20)}


def test_a_kind_that_was_not_mapped() -> None:
    """Nothing is told of what no machine of the table has."""
    model = AreaModel(table(MACHINES))
    machine = replace(shape(8, 1), array=ArrayKind.UNIFORM)
    message = re.escape(
        "Machine tiny-packed must be of a kind that was mapped, for its engine.array has "
        "'uniform weights', which no machine of the sweep has"
    )
    with pytest.raises(NotMapped, match=f"^{message}$"):
        model.estimate(machine)


def test_the_mapped_machines() -> None:
    """Of each machine of the committed table the modules that were mapped are within 3 %."""
    model = area_model(Family.ECP5)
    for row in read_sweep(Family.ECP5).fitted:
        estimated = sum((model.module(path, row.machine) or Area() for path in row.parts), Area())
        mapped = sum(row.parts.values(), Area())
        assert abs(estimated.sites - mapped.sites) < 0.03 * mapped.sites, row.machine
        assert abs(estimated.ff - mapped.ff) < 0.03 * mapped.ff, row.machine
        assert (estimated.bram, estimated.dsp) == (mapped.bram, mapped.dsp)


def test_machines_that_the_fit_has_not_seen() -> None:
    """Ten whole machines: sites and flip-flops within 5 %, block memories and multipliers equal."""
    model = area_model(Family.ECP5)
    held_out = read_sweep(Family.ECP5).held_out
    assert len(held_out) == 10
    for row in held_out:
        estimated = model.estimate(row.machine)
        mapped = sum(row.parts.values(), Area())
        assert estimated.blocks.keys() == row.parts.keys()
        assert abs(estimated.area.sites - mapped.sites) < 0.05 * mapped.sites, row.machine
        assert abs(estimated.area.ff - mapped.ff) < 0.05 * mapped.ff, row.machine
        assert (estimated.area.bram, estimated.area.dsp) == (mapped.bram, mapped.dsp)
