# SPDX-License-Identifier: Apache-2.0
"""What an array alone takes of a device: ``python -m tritone_hw.synthesis.array_area``."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from tritone.spec.device import DEVICES, Device, Family, device
from tritone.spec.storage import write_json
from tritone_hw.comparison.arrays import ARRAYS, ComparedArray
from tritone_hw.platform.array_probe import ArrayProbe
from tritone_hw.synthesis.blocks import cells
from tritone_hw.synthesis.lut_pairs import lut_pairs, route_throughs
from tritone_hw.synthesis.mapping import map_component
from tritone_hw.synthesis.placement import PLACERS, Algorithms, Placement, place_seeds
from tritone_hw.synthesis.script import NETLIST, STATISTICS
from tritone_hw.synthesis.tools import YOSYS, exit_on_error

__all__ = ["ArrayArea", "array_report", "main", "measure_array"]

_SIZES = (("rows", 16), ("columns", 8), ("pixels", 1), ("seeds", 3))


@dataclass(frozen=True, kw_only=True)
class ArrayArea:
    """An array in its shift register.

    Parameters
    ----------
    name, compared, shape, device : which array, of how many rows, columns and pixels, on what.
    sites, ff : of all, the shift register and the tree of parities too, as mapped; on the 7 series
        lookup tables in pairs, and those that a carry chain takes to be reached (``lut_pairs``).
    kinds : cells by their kind, as mapped.
    mapping_seconds : of yosys.
    placements : one for each seed that was routed; none where the device has an area only.
    failures : why the other seeds were not routed.
    """

    name: str
    compared: ComparedArray
    shape: tuple[int, int, int]
    device: Device
    sites: float
    ff: int
    kinds: dict[str, int]
    mapping_seconds: float
    placements: tuple[Placement, ...]
    failures: Mapping[int, str] = field(default_factory=dict)

    @property
    def macs(self) -> int:
        """Multiply-accumulates a cycle."""
        rows, columns, pixels = self.shape
        return rows * columns * pixels


def measure_array(
    name: str,
    shape: tuple[int, int, int],
    target: Device,
    *,
    seeds: Iterable[int],
    build: Path,
    watch: Callable[[str], None] = lambda stage: None,
) -> ArrayArea:
    """Map an array of ARRAYS, place and route it; the errors are those of ``synthesise``.

    Products take no multipliers of the device.
    """
    compared = ARRAYS[name]
    label = f"array-{name}-{'x'.join(map(str, shape))}"
    probe = ArrayProbe(compared.make(*shape))
    mapped = map_component(
        probe, label, target, build=build, watch=watch, multipliers=False, fast=True
    )
    statistics = json.loads((mapped.folder / STATISTICS).read_text())
    sites = sum(area.sites for area in mapped.blocks.values())
    if target.family is Family.XC7:
        netlist = json.loads((mapped.folder / NETLIST).read_text())
        sites += route_throughs(netlist, "top") - lut_pairs(netlist, "top")
    placed = place_seeds(
        target,
        mapped.folder / NETLIST,
        seeds=seeds if target.family.routed else (),
        algorithms=Algorithms(),
        watch=watch,
    )
    return ArrayArea(
        name=name,
        compared=compared,
        shape=shape,
        device=target,
        sites=sites,
        ff=sum(area.ff for area in mapped.blocks.values()),
        kinds=dict(sorted(cells(statistics, "top").items())),
        mapping_seconds=mapped.seconds,
        placements=placed.placements,
        failures=placed.failures,
    )


def array_report(found: ArrayArea) -> dict[str, Any]:
    """Return what the JSON of an array holds: rows for ``tritone report``, one for each seed."""
    common = {
        "kind": "array",
        "codebook": found.compared.codebook,
        "machine": f"{found.name} {'x'.join(map(str, found.shape))}",
        "device": found.device.name,
        "macs_per_cycle": found.macs,
        "ff": found.ff,
        "bram": 0,
        "dsp": 0,
    }
    versions = [YOSYS.version()]
    if found.device.family.routed:
        versions.append(PLACERS[found.device.family].version())
    figures: list[tuple[float, Placement | None]] = [
        (each.area.sites, each) for each in found.placements
    ]
    rows = []
    for sites, placed in figures or [(found.sites, None)]:
        rows.append(
            common
            | {
                "sites": round(sites),
                "sites_per_mac": round(sites / common["macs_per_cycle"], 2),
                "fmax_mhz": round(placed.fmax_mhz, 2) if placed else None,
                "seed": placed.seed if placed else None,
                "seconds": round(found.mapping_seconds + (placed.seconds if placed else 0), 1),
                "tool": "yosys and nextpnr" if placed else "yosys",
                "tool_versions": versions,
                "measured_or_published": "measured",
            }
        )
    return {"array": found.name, "rows": rows}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the area, and for each seed what is placed and the clock; write it as JSON."""
    parser = argparse.ArgumentParser(prog="array_area", description=__doc__)
    parser.add_argument("--array", choices=sorted(ARRAYS), default="post")
    parser.add_argument("--target", choices=sorted(DEVICES), default="ecp5-85k")
    for name, size in _SIZES:
        parser.add_argument(f"--{name}", type=int, default=size)
    parser.add_argument("--build", type=Path, default=Path("build"))
    options = parser.parse_args(arguments)
    shape = (options.rows, options.columns, options.pixels)
    title = f"{options.array} on {options.target}"
    with exit_on_error(parser), Console(stderr=True).status(title) as status:
        found = measure_array(
            options.array,
            shape,
            device(options.target),
            seeds=range(1, options.seeds + 1),
            build=options.build,
            watch=lambda stage: status.update(f"{title}: {stage}"),
        )
    print(f"mapped: {found.sites / found.macs:.2f} sites a MAC, {found.ff / found.macs:.2f} FF")
    print(" ".join(f"{kind} {count}" for kind, count in found.kinds.items()))
    for placed in found.placements:
        print(
            f"seed {placed.seed}: {placed.area.sites / found.macs:.2f} sites a MAC, "
            f"{placed.fmax_mhz:.2f} MHz, {placed.seconds:.0f} s"
        )
    for seed, reason in found.failures.items():
        print(f"seed {seed}: not routed: {reason}")
    label = f"array-{options.array}-{'x'.join(map(str, shape))}-{options.target}"
    path = options.build / "synth" / f"{label}.json"
    write_json(path, array_report(found))
    print(path)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
