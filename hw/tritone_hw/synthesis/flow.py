# SPDX-License-Identifier: Apache-2.0
"""From a machine to its area and clock on a device."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from tritone.spec.area import Area
from tritone.spec.device import Device
from tritone.spec.machine import MachineConfig
from tritone_hw.platform.serial_host import SerialHost
from tritone_hw.synthesis.blocks import WRAPPER
from tritone_hw.synthesis.fit import require_fit, require_hard_blocks
from tritone_hw.synthesis.mapping import map_component
from tritone_hw.synthesis.placement import (
    PLACERS,
    Algorithms,
    Placement,
    Placer,
    Router,
    place_seeds,
)
from tritone_hw.synthesis.script import NETLIST
from tritone_hw.synthesis.tools import YOSYS

__all__ = ["Synthesis", "synthesise"]

# From here on the first router of nextpnr does not end.
_LARGE_ARRAY = 256


@dataclass(frozen=True, kw_only=True)
class Synthesis:
    """What a machine takes of a device.

    Parameters
    ----------
    machine, device : of what, on what.
    blocks : cells of each block as mapped, the serial port of the tools as WRAPPER.
    mapping_seconds : of yosys.
    placements : one for each seed that was routed; none where the device has an area only.
    failures : why the other seeds were not routed.
    tool_versions : a line for each tool.
    """

    machine: MachineConfig
    device: Device
    blocks: dict[str, Area]
    mapping_seconds: float
    placements: tuple[Placement, ...]
    tool_versions: tuple[str, ...]
    failures: Mapping[int, str] = field(default_factory=dict)

    @property
    def best(self) -> Placement | None:
        """The placement with the highest clock."""
        return max(self.placements, key=lambda each: each.fmax_mhz, default=None)

    @property
    def mapped(self) -> Area:
        """Cells of the machine before place and route, without the serial port of the tools."""
        return sum((area for name, area in self.blocks.items() if name != WRAPPER), Area())

    @property
    def wrapper(self) -> Area:
        """Cells of the serial port."""
        return self.blocks.get(WRAPPER, Area())

    @property
    def area(self) -> Area:
        """What the machine takes: as placed, else as mapped; without the serial port."""
        if self.best is None:
            return self.mapped
        return replace(self.best.area + self.wrapper * -1, ff=self.mapped.ff)


def synthesise(
    machine: MachineConfig,
    device: Device,
    *,
    seeds: Iterable[int] = (1,),
    placer: Placer = Placer.HEAP,
    router: Router | None = None,
    build: Path = Path("build"),
    watch: Callable[[str], None] = lambda stage: None,
) -> Synthesis:
    """Map ``machine``, behind a serial port, to the cells of ``device``; place and route it.

    Everything is kept in ``build/synth/cache`` under a key of all that goes into it, logs too, and
    not made again.

    Parameters
    ----------
    machine, device : of what, on what.
    seeds : of the placer; each is a placement of its own.
    placer : of nextpnr.
    router : of nextpnr; by default the one that suits the size of the array.
    build : folder for what is generated.
    watch : is told the stage, often.

    Raises
    ------
    FileNotFoundError : a tool is missing; the message names the command that installs it.
    ValueError : the device is too small, or no seed was routed; the message names larger ones.
    RuntimeError : a tool failed.
    """
    tools = [YOSYS.version()]
    if device.family.routed:
        tools.append(PLACERS[device.family].version())
    require_hard_blocks(machine, device)
    mapped = map_component(SerialHost(machine), machine.name, device, build=build, watch=watch)
    require_fit(machine, device, sum(mapped.blocks.values(), Area()))
    if router is None:
        large = machine.macs_per_cycle >= _LARGE_ARRAY
        router = Router.ROUTER2 if large else Router.ROUTER1
    placed = place_seeds(
        device,
        mapped.folder / NETLIST,
        seeds=seeds if device.family.routed else (),
        algorithms=Algorithms(placer=placer, router=router),
        watch=watch,
    )
    return Synthesis(
        machine=machine,
        device=device,
        blocks=mapped.blocks,
        mapping_seconds=mapped.seconds,
        placements=placed.placements,
        tool_versions=tuple(tools),
        failures=placed.failures,
    )
