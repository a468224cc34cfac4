# SPDX-License-Identifier: Apache-2.0
"""From a machine to its area and clock on a device."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from amaranth.lib.wiring import Component

from tritone.spec.area import Area, devices_for, lacking
from tritone.spec.device import Device, Family
from tritone.spec.machine import MachineConfig
from tritone.spec.storage import write_json
from tritone_hw.emit import convert
from tritone_hw.platform.carry_trim import trim_carries
from tritone_hw.platform.serial_host import SerialHost
from tritone_hw.platform.target import Target
from tritone_hw.synthesis.blocks import (
    ACCELERATOR,
    WRAPPER,
    block_modules,
    count_blocks,
)
from tritone_hw.synthesis.placement import PLACERS, Placement, Router, place
from tritone_hw.synthesis.script import NETLIST, STATISTICS, yosys_script
from tritone_hw.synthesis.tools import YOSYS, log_tail, run_tool
from tritone_hw.synthesis.wide_multiplexers import close_leaves, count_leaves

__all__ = [
    "VERILOG",
    "Mapping",
    "Synthesis",
    "map_component",
    "map_verilog",
    "require_fit",
    "run_mapping",
    "synthesise",
]

_TOP = "top"
VERILOG = "top.v"
_SCRIPT = "script.ys"
_TARGETS = {Family.ECP5: Target.ECP5, Family.XC7: Target.XC7}
_MAPPED = "mapped.json"  # written last: a killed run is done again

# From here on the first router of nextpnr does not end.
_LARGE_ARRAY = 256

_PASS = re.compile(
    r"^\d+(?:\.\d+){0,2}\. (?:Executing|Continuing) (.{3,60}?)(?: pass)?(?: \(|[.]|$)"
)


@dataclass(frozen=True, kw_only=True)
class Mapping:
    """A design as cells of a device.

    Parameters
    ----------
    folder : with NETLIST, STATISTICS and the log.
    blocks : cells of each block.
    seconds : that yosys took.
    """

    folder: Path
    blocks: dict[str, Area]
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Synthesis:
    """What a machine takes of a device.

    Parameters
    ----------
    machine, device : of what, on what.
    blocks : cells of each block as mapped, the serial port of the tools as WRAPPER.
    mapping_seconds : of yosys.
    placements : one for each seed; none where the device has an area only.
    tool_versions : a line for each tool.
    """

    machine: MachineConfig
    device: Device
    blocks: dict[str, Area]
    mapping_seconds: float
    placements: tuple[Placement, ...]
    tool_versions: tuple[str, ...]

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
    router : of nextpnr; by default the one that suits the size of the array.
    build : folder for what is generated.
    watch : is told the stage, often.

    Raises
    ------
    FileNotFoundError : a tool is missing; the message names the command that installs it.
    ValueError : the device is too small; the message names those that are not.
    RuntimeError : a tool failed.
    """
    tools = [YOSYS.version()]
    if device.family.routed:
        tools.append(PLACERS[device.family].version())
    mapped = map_component(SerialHost(machine), machine.name, device, build=build, watch=watch)
    require_fit(machine, device, sum(mapped.blocks.values(), Area()))
    if router is None:
        large = machine.macs_per_cycle >= _LARGE_ARRAY
        router = Router.ROUTER2 if large else Router.ROUTER1
    placements = tuple(
        place(device, mapped.folder / NETLIST, seed=seed, router=router, watch=watch)
        for seed in (seeds if device.family.routed else ())
    )
    return Synthesis(
        machine=machine,
        device=device,
        blocks=mapped.blocks,
        mapping_seconds=mapped.seconds,
        placements=placements,
        tool_versions=tuple(tools),
    )


def map_component(
    component: Component,
    name: str,
    device: Device,
    *,
    build: Path,
    watch: Callable[[str], None],
    multipliers: bool = True,
    fast: bool = False,
) -> Mapping:
    """Map a component to the cells of ``device``, or take what is kept of that.

    Parameters
    ----------
    component : the design; its submodule ACCELERATOR is counted block by block.
    name : for the folder, ``build/synth/cache/<name>-<device>-<digest>``.
    device, build, watch : as for ``synthesise``, and so are the errors.
    multipliers : products may take multipliers of the device.
    fast : take the logic with the least delay, whatever its size.
    """
    YOSYS.version()
    watch("generate the Verilog")
    verilog = convert(component, _TOP, _TARGETS.get(device.family, Target.PORTABLE))
    accelerator = f"{_TOP}.{ACCELERATOR}"
    return map_verilog(
        verilog,
        accelerator,
        name,
        device,
        build=build,
        watch=watch,
        multipliers=multipliers,
        fast=fast,
    )


def map_verilog(
    verilog: str,
    accelerator: str,
    name: str,
    device: Device,
    *,
    build: Path,
    watch: Callable[[str], None],
    multipliers: bool = True,
    fast: bool = False,
) -> Mapping:
    """Map a design to the cells of ``device``, or take what is kept of that.

    Parameters
    ----------
    verilog : the text of the design.
    accelerator : path of what is counted block by block, from the top module on.
    name, device, build, watch, multipliers, fast : as for ``map_component``, and so are the errors.
    """
    version = YOSYS.version()
    modules = block_modules(verilog, accelerator)
    top = accelerator.partition(".")[0]
    script = yosys_script(device.family, VERILOG, top, modules, multipliers=multipliers, fast=fast)
    digest = hashlib.sha256(json.dumps([verilog, script, version]).encode()).hexdigest()[:16]
    folder = build / "synth" / "cache" / f"{name}-{device.name}-{digest}"
    seconds = run_mapping(device.family, folder, verilog, script, watch)
    statistics = json.loads((folder / STATISTICS).read_text())
    blocks = count_blocks(device.family, statistics, accelerator, modules)
    return Mapping(folder=folder, blocks=blocks, seconds=seconds)


def run_mapping(
    family: Family, folder: Path, verilog: str, script: str, watch: Callable[[str], None]
) -> float:
    """Run a script in ``folder`` unless that has been done; return the seconds that yosys took.

    Parameters
    ----------
    family : whose cells the script maps to.
    folder : for all that is read and written.
    verilog : the design, which the script reads from VERILOG.
    script : by ``yosys_script``.
    watch : is told the stage, often.

    Raises
    ------
    FileNotFoundError : yosys is not installed.
    RuntimeError : it failed.
    """
    marker = folder / _MAPPED
    if marker.is_file():
        return float(json.loads(marker.read_text())["seconds"])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / VERILOG).write_text(verilog)
    (folder / _SCRIPT).write_text(script)

    def follow(line: str) -> None:
        if found := _PASS.match(line):
            watch(f"map: {found[1]}")

    log = folder / "yosys.log"
    began = time.perf_counter()
    code = run_tool(YOSYS, ("-s", _SCRIPT), folder, log, follow)
    if code:
        raise RuntimeError(f"Yosys must map the design, but ended with {code}: {log_tail(log)}")
    if family is Family.ECP5:
        watch("map: trim the carry chains")
        netlist = json.loads((folder / NETLIST).read_text())
        trim_carries(netlist)
        if added := close_leaves(netlist):
            statistics = json.loads((folder / STATISTICS).read_text())
            modules = netlist["modules"].items()
            top = next(name for name, module in modules if "top" in module["attributes"])
            count_leaves(statistics, top, added)
            write_json(folder / STATISTICS, statistics)
        write_json(folder / NETLIST, netlist)
    seconds = round(time.perf_counter() - began, 1)
    write_json(marker, {"seconds": seconds})
    return seconds


def require_fit(machine: MachineConfig, device: Device, area: Area) -> None:
    """Refuse a machine that takes more of anything than the device has.

    Raises
    ------
    ValueError : with what is short, and the devices of a family that have enough of it.
    """
    short = lacking(area, device)
    if not short:
        return
    larger = devices_for(area, device.family)
    remedy = (
        f"{' or '.join(larger)} has enough"
        if larger
        else "take a machine of fewer rows, columns or pixels"
    )
    raise ValueError(
        f"Machine {machine.name} must fit {device.name}, not need {', '.join(short)}; {remedy}"
    )
