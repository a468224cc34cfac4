# SPDX-License-Identifier: Apache-2.0
"""What the array alone takes of a device: ``python -m tritone_hw.synthesis.array_area``."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tritone.spec.device import DEVICES, Device, device
from tritone.spec.machine import MachineConfig
from tritone_hw.platform.array_probe import ArrayProbe
from tritone_hw.synthesis.blocks import cells
from tritone_hw.synthesis.flow import map_component
from tritone_hw.synthesis.placement import Placement, Router, place
from tritone_hw.synthesis.script import NETLIST, STATISTICS

__all__ = ["ArrayArea", "main", "measure_array"]


@dataclass(frozen=True, kw_only=True)
class ArrayArea:
    """The array in its shift register.

    Parameters
    ----------
    macs : multiply-accumulates a cycle.
    sites, ff : of all, the shift register and the tree of parities too, as mapped.
    kinds : cells by their kind, as mapped.
    placements : one for each seed; none where the device has an area only.
    """

    macs: int
    sites: float
    ff: int
    kinds: dict[str, int]
    placements: tuple[Placement, ...]


def measure_array(
    machine: MachineConfig,
    target: Device,
    *,
    seeds: Iterable[int],
    build: Path,
    watch: Callable[[str], None] = lambda stage: None,
) -> ArrayArea:
    """Map the array of ``machine``, place and route it; the errors are those of ``synthesise``."""
    name = f"array-{machine.rows}x{machine.columns}x{machine.pixels}"
    mapped = map_component(ArrayProbe(machine), name, target, build=build, watch=watch)
    statistics = json.loads((mapped.folder / STATISTICS).read_text())
    return ArrayArea(
        macs=machine.macs_per_cycle,
        sites=sum(area.sites for area in mapped.blocks.values()),
        ff=sum(area.ff for area in mapped.blocks.values()),
        kinds=dict(sorted(cells(statistics, "top").items())),
        placements=tuple(
            place(target, mapped.folder / NETLIST, seed=seed, router=Router.ROUTER1, watch=watch)
            for seed in (seeds if target.family.routed else ())
        ),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the area, and for each seed what is placed and the clock."""
    parser = argparse.ArgumentParser(prog="array_area", description=__doc__)
    parser.add_argument("--target", choices=sorted(DEVICES), default="ecp5-85k")
    for name, size in (("rows", 16), ("columns", 8), ("pixels", 1), ("seeds", 3)):
        parser.add_argument(f"--{name}", type=int, default=size)
    parser.add_argument("--build", type=Path, default=Path("build"))
    options = parser.parse_args(arguments)
    slots = 4  # of the requantiser, which is not there
    try:
        machine = MachineConfig(
            name="array",
            rows=options.rows,
            columns=options.columns,
            pixels=options.pixels,
            requantizer_slots=slots,
        )
        found = measure_array(
            machine,
            device(options.target),
            seeds=range(1, options.seeds + 1),
            build=options.build,
        )
    except ValueError as error:
        parser.error(str(error))
    print(f"mapped: {found.sites / found.macs:.2f} sites a MAC, {found.ff / found.macs:.2f} FF")
    print(" ".join(f"{kind} {count}" for kind, count in found.kinds.items()))
    for placed in found.placements:
        print(
            f"seed {placed.seed}: {placed.area.sites / found.macs:.2f} sites a MAC, "
            f"{placed.fmax_mhz:.2f} MHz, {placed.seconds:.0f} s"
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
