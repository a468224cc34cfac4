# SPDX-License-Identifier: Apache-2.0
"""Place and route of a netlist with nextpnr: its arguments and its report."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from tritone.spec.area import Area
from tritone.spec.device import Device, Family
from tritone.spec.storage import write_json
from tritone_hw.synthesis.tools import NEXTPNR_ECP5, NEXTPNR_ICE40, Tool, run_tool

__all__ = ["PLACERS", "Pinout", "Placement", "Router", "place", "placement_stem"]

PLACERS: Mapping[Family, Tool] = {Family.ECP5: NEXTPNR_ECP5, Family.ICE40: NEXTPNR_ICE40}

# What is asked for: above what is reached, so that the tool does not stop at enough. Too far above
# it would treat all paths as equally critical.
_GOAL_MHZ = {Family.ECP5: 150, Family.ICE40: 30}


_RESOURCES = {
    Family.ECP5: {
        "sites": "TRELLIS_COMB",
        "bram": "DP16KD",
        "dsp": "MULT18X18D",
    },
    Family.ICE40: {
        "sites": "ICESTORM_LC",
        "bram": "ICESTORM_RAM",
        "dsp": "ICESTORM_DSP",
        "spram": "ICESTORM_SPRAM",
    },
}

_ERROR = re.compile(r"^ERROR: (.*)")
_STAGE = re.compile(r"^Info: +(.{3,60}?)[.:]*$")


class Router(Enum):
    """Routers of nextpnr: the second one is the one that ends on large arrays."""

    ROUTER1 = "router1"
    ROUTER2 = "router2"


@dataclass(frozen=True, kw_only=True)
class Pinout:
    """Where the ports of a design lie on an ECP5.

    Parameters
    ----------
    constraints : pins, and clocks where they are known, in Lattice's language (LPF).
    package : of the device, in the notation of nextpnr.
    speed : its grade.
    complete : whether every port must be named.
    """

    constraints: str
    package: str
    speed: int
    complete: bool = True


# The parts of tritone.spec.device, of speed grade 6. A clock input of CABGA381: from other pins the
# second router finds no way to the clock network.
_CLOCK_ONLY = Pinout(
    constraints='LOCATE COMP "clk" SITE "G2";\n', package="CABGA381", speed=6, complete=False
)


@dataclass(frozen=True, kw_only=True)
class Placement:
    """A design on a device.

    Parameters
    ----------
    seed : of the placer.
    fmax_mhz : highest clock after routing.
    area : everything that is placed; without flip-flops, which not every report counts.
    seconds : that it took.
    """

    seed: int
    fmax_mhz: float
    area: Area
    seconds: float


def placement_stem(netlist: Path, seed: int, router: Router, pinout: Pinout | None = None) -> Path:
    """Return the path of a placement's files, without their suffix: another for every pinout."""
    name = f"seed{seed}-{router.value}"
    if pinout is not None:
        name += f"-{hashlib.sha256(json.dumps(asdict(pinout)).encode()).hexdigest()[:8]}"
    return netlist.parent / name


def place(
    device: Device,
    netlist: Path,
    *,
    seed: int,
    router: Router,
    watch: Callable[[str], None],
    pinout: Pinout | None = None,
) -> Placement:
    """Place and route ``netlist``; a result that lies beside it already is taken as it is.

    At its ``placement_stem`` appear ``.json`` (the result), ``.report`` (of nextpnr,
    with the critical paths), ``.config`` (for the bitstream), ``.lpf`` (of ECP5) and ``.log``.

    Parameters
    ----------
    device : one whose family can be routed here.
    netlist : of yosys, flat.
    seed : of the placer.
    router : which one.
    watch : is told the stage.
    pinout : of a board with an ECP5; without one the tool chooses the pins.

    Raises
    ------
    FileNotFoundError : nextpnr is not installed.
    ValueError : the device is none of those.
    RuntimeError : it could not place or route the design; the message is its own.
    """
    if device.family not in PLACERS:
        raise ValueError(f"Device must be one that is routed, not {device.name}")
    tool = PLACERS[device.family]
    stem = placement_stem(netlist, seed, router, pinout)
    result, report = stem.with_suffix(".json"), stem.with_suffix(".report")
    if result.is_file():
        held: dict[str, Any] = json.loads(result.read_text())
        return Placement(**held | {"area": Area(**held["area"])})

    errors: list[str] = []

    def follow(line: str) -> None:
        if error := _ERROR.match(line):
            errors.append(error[1])
        if stage := _STAGE.match(line):
            watch(f"seed {seed}: {stage[1]}")

    if device.family is Family.ECP5:
        stem.with_suffix(".lpf").write_text((pinout or _CLOCK_ONLY).constraints)
    began = time.perf_counter()
    code = run_tool(
        tool,
        _arguments(device, netlist, stem, seed, router, pinout or _CLOCK_ONLY),
        netlist.parent,
        stem.with_suffix(".log"),
        follow,
    )
    if code or not report.is_file():
        # The first one is the cause; what follows says which step it ended.
        reason = errors[0] if errors else f"exit code {code}, see {stem.with_suffix('.log')}"
        raise RuntimeError(
            f"Design must be routable on {device.name}, but {tool.distribution} says: {reason}; "
            "try other --seeds, a larger device or a smaller machine"
        )
    found = json.loads(report.read_text())
    placement = Placement(
        seed=seed,
        fmax_mhz=min(clock["achieved"] for clock in found["fmax"].values()),
        area=Area(
            **{
                name: found["utilization"][kind]["used"]
                for name, kind in _RESOURCES[device.family].items()
            }
        ),
        seconds=round(time.perf_counter() - began, 1),
    )
    write_json(result, asdict(placement))
    return placement


def _arguments(
    device: Device, netlist: Path, stem: Path, seed: int, router: Router, pinout: Pinout
) -> list[str]:
    """Return the command line; file names are relative, since the tool sees no other folder."""
    common = [
        *("--json", netlist.name),
        *("--seed", str(seed)),
        *("--freq", str(_GOAL_MHZ[device.family])),
        *("--report", stem.with_suffix(".report").name),
        *("--router", router.value),
        "--timing-allow-fail",
    ]
    config = stem.with_suffix(".config").name
    if device.family is Family.ICE40:
        package = ("--package", device.package)
        return ["--up5k", *package, *common, "--asc", config, "--pcf-allow-unconstrained"]
    part = (
        f"--{device.name.rpartition('-')[2]}",
        *("--package", pinout.package),
        *("--speed", str(pinout.speed)),
    )
    pins = ["--lpf", stem.with_suffix(".lpf").name]
    if not pinout.complete:
        pins.append("--lpf-allow-unconstrained")
    return [*part, *common, *pins, "--textcfg", config]
