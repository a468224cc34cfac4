# SPDX-License-Identifier: Apache-2.0
"""A design as cells of a device: made by yosys once, and kept."""

from __future__ import annotations

import hashlib
import inspect
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from amaranth.lib.wiring import Component

from tritone.spec.area import Area
from tritone.spec.device import Device, Family
from tritone.spec.storage import whole_folder, write_json
from tritone_hw.emit import convert
from tritone_hw.platform import carry_trim
from tritone_hw.platform.target import Target
from tritone_hw.synthesis import wide_multiplexers
from tritone_hw.synthesis.blocks import ACCELERATOR, block_modules, count_blocks
from tritone_hw.synthesis.script import NETLIST, STATISTICS, yosys_script
from tritone_hw.synthesis.tools import YOSYS, log_tail, run_tool

__all__ = ["VERILOG", "Mapping", "map_component", "map_verilog", "mapping_key", "run_mapping"]

_TOP = "top"
VERILOG = "top.v"
_SCRIPT = "script.ys"
_LOG = "yosys.log"
_MAPPED = "mapped.json"
_TARGETS = {Family.ECP5: Target.ECP5, Family.XC7: Target.XC7}

# Modules that rewrite what yosys wrote.
_PASSES = {Family.ECP5: (carry_trim, wide_multiplexers)}

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
    modules = block_modules(verilog, accelerator)
    top = accelerator.partition(".")[0]
    script = yosys_script(device.family, VERILOG, top, modules, multipliers=multipliers, fast=fast)
    cache = build / "synth" / "cache"
    folder, seconds = run_mapping(
        device.family, cache, f"{name}-{device.name}", verilog, script, watch
    )
    statistics = json.loads((folder / STATISTICS).read_text())
    blocks = count_blocks(device.family, statistics, accelerator, modules)
    return Mapping(folder=folder, blocks=blocks, seconds=seconds)


def mapping_key(family: Family, verilog: str, script: str) -> str:
    """Return the key of all that goes into a netlist: design, script, yosys, passes of our own.

    Raises
    ------
    FileNotFoundError : yosys is not installed.
    """
    passes = [inspect.getsource(module) for module in _PASSES.get(family, ())]
    parts = [verilog, script, YOSYS.version(), passes]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def run_mapping(
    family: Family,
    cache: Path,
    name: str,
    verilog: str,
    script: str,
    watch: Callable[[str], None],
) -> tuple[Path, float]:
    """Run a script unless that has been done; return its folder and the seconds that yosys took.

    The folder is there when it is complete: others may map the same design at the same time. Of a
    script that fails the log stays beside it.

    Parameters
    ----------
    family : whose cells the script maps to.
    cache, name : the folder is ``<cache>/<name>-<mapping_key>``.
    verilog : the design, which the script reads from VERILOG.
    script : by ``yosys_script``.
    watch : is told the stage, often.

    Raises
    ------
    FileNotFoundError : yosys is not installed.
    RuntimeError : it failed.
    """
    done = cache / f"{name}-{mapping_key(family, verilog, script)}"
    if not done.is_dir():
        with whole_folder(done) as folder:
            _map(family, folder, verilog, script, watch, done.with_name(f"{done.name}.log"))
    return done, float(json.loads((done / _MAPPED).read_text())["seconds"])


def _map(
    family: Family,
    folder: Path,
    verilog: str,
    script: str,
    watch: Callable[[str], None],
    failure: Path,
) -> None:
    """Map a design in ``folder``; where that fails the log becomes the file ``failure``."""
    (folder / VERILOG).write_text(verilog)
    (folder / _SCRIPT).write_text(script)

    def follow(line: str) -> None:
        if found := _PASS.match(line):
            watch(f"map: {found[1]}")

    log = folder / _LOG
    began = time.perf_counter()
    code = run_tool(YOSYS, ("-s", _SCRIPT), folder, log, follow)
    if code:
        log.replace(failure)
        raise RuntimeError(f"Yosys must map the design, but ended with {code}: {log_tail(failure)}")
    if family in _PASSES:
        watch("map: trim the carry chains")
        _rewrite(folder)
    write_json(folder / _MAPPED, {"seconds": round(time.perf_counter() - began, 1)})


def _rewrite(folder: Path) -> None:
    """Do to the netlist of ECP5 what the modules of _PASSES do."""
    netlist = json.loads((folder / NETLIST).read_text())
    carry_trim.trim_carries(netlist)
    if added := wide_multiplexers.close_leaves(netlist):
        statistics = json.loads((folder / STATISTICS).read_text())
        modules = netlist["modules"].items()
        top = next(name for name, module in modules if "top" in module["attributes"])
        wide_multiplexers.count_leaves(statistics, top, added)
        write_json(folder / STATISTICS, statistics)
    write_json(folder / NETLIST, netlist)
