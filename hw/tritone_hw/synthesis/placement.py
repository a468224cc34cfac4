# SPDX-License-Identifier: Apache-2.0
"""Place and route of a netlist with nextpnr: its arguments and its report."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from tritone.spec.area import Area
from tritone.spec.device import Device, Family, larger_devices
from tritone.spec.storage import whole_folder, write_json
from tritone_hw.synthesis.tools import NEXTPNR_ECP5, NEXTPNR_ICE40, Tool, run_tool

__all__ = [
    "CONFIGURATION",
    "LOG",
    "PLACERS",
    "Algorithms",
    "Pinout",
    "Placed",
    "Placement",
    "Placer",
    "Router",
    "Unroutable",
    "place",
    "place_seeds",
    "placement_folder",
]

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

# Files of a placement.
CONFIGURATION = "nextpnr.config"
LOG = "nextpnr.log"
_PINS = "pins.lpf"
_REPORT = "report.json"
_RESULT = "placement.json"

_ERROR = re.compile(r"^ERROR: (.*)")
_STAGE = re.compile(r"^Info: +(.{3,60}?)[.:]*$")


class Placer(Enum):
    """Placers of nextpnr: which one is quicker and places better differs by machine.

    The second one does not end where nearly all block memories are taken.
    """

    HEAP = "heap"
    STATIC = "static"


class Router(Enum):
    """Routers of nextpnr: the second one is the one that ends on large arrays."""

    ROUTER1 = "router1"
    ROUTER2 = "router2"


@dataclass(frozen=True, kw_only=True)
class Algorithms:
    """How nextpnr works; the defaults suit small designs."""

    placer: Placer = Placer.HEAP
    router: Router = Router.ROUTER1


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


@dataclass(frozen=True, kw_only=True)
class Placed:
    """What came of several seeds.

    Parameters
    ----------
    placements : one for each seed that was routed.
    failures : why the others were not, by seed.
    """

    placements: tuple[Placement, ...]
    failures: Mapping[int, str]


class Unroutable(ValueError):
    """A design that nextpnr does not get onto a device.

    Parameters
    ----------
    device : what it was placed on.
    reason : what nextpnr says.
    """

    def __init__(self, device: Device, reason: str) -> None:
        super().__init__(device, reason)
        self.device = device
        self.reason = reason

    def __str__(self) -> str:
        remedies = ["other --seeds", *larger_devices(self.device), "a smaller machine"]
        return (
            f"Design must be routable on {self.device.name}, but "
            f"{PLACERS[self.device.family].distribution} says: {self.reason}; "
            f"try {', '.join(remedies[:-1])} or {remedies[-1]}"
        )


def placement_folder(
    device: Device,
    netlist: Path,
    *,
    seed: int,
    algorithms: Algorithms,
    pinout: Pinout | None = None,
) -> Path:
    """Return the folder of a placement, under a key of all that goes into it.

    That is the netlist, the version of nextpnr, its arguments and the pins.

    Raises
    ------
    FileNotFoundError : nextpnr is not installed.
    ValueError : the device is of no family that is routed.
    """
    if device.family not in PLACERS:
        raise ValueError(f"Device must be one that is routed, not {device.name}")
    pins = pinout or _CLOCK_ONLY
    with netlist.open("rb") as content:
        design = hashlib.file_digest(content, "sha256").hexdigest()
    arguments = _arguments(device, netlist, "", seed, algorithms, pins)
    parts = [design, PLACERS[device.family].version(), arguments, pins.constraints]
    key = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
    names = f"{algorithms.placer.value}-{algorithms.router.value}"
    return netlist.parent / f"seed{seed}-{names}-{key}"


def place_seeds(
    device: Device,
    netlist: Path,
    *,
    seeds: Iterable[int],
    algorithms: Algorithms,
    watch: Callable[[str], None],
    pinout: Pinout | None = None,
) -> Placed:
    """Place and route ``netlist`` with each of the seeds; one that fails leaves the others alone.

    Parameters
    ----------
    device, netlist, algorithms, watch, pinout : as for ``place``, and so are the errors.
    seeds : of the placer; none gives nothing.

    Raises
    ------
    Unroutable : all seeds failed; the message has the reason of the first.
    """
    placements, failures = [], {}
    first: Unroutable | None = None
    for seed in seeds:
        try:
            placements.append(
                place(device, netlist, seed=seed, algorithms=algorithms, watch=watch, pinout=pinout)
            )
        except Unroutable as error:
            failures[seed] = error.reason
            first = first or error
    if first is not None and not placements:
        raise first
    return Placed(placements=tuple(placements), failures=failures)


def place(
    device: Device,
    netlist: Path,
    *,
    seed: int,
    algorithms: Algorithms,
    watch: Callable[[str], None],
    pinout: Pinout | None = None,
) -> Placement:
    """Place and route ``netlist``; a result that is kept already is taken as it is.

    Its ``placement_folder`` is there when it is complete, with the report of nextpnr and its
    critical paths, CONFIGURATION for the bitstream, and LOG. Of a failure the log stays beside it.

    Parameters
    ----------
    device : one whose family can be routed here.
    netlist : of yosys, flat.
    seed : of the placer.
    algorithms : of nextpnr.
    watch : is told the stage.
    pinout : of a board with an ECP5; without one the tool chooses the pins.

    Raises
    ------
    FileNotFoundError : nextpnr is not installed.
    ValueError : the device is none of those.
    Unroutable : nextpnr could not place or route the design, and says why.
    """
    done = placement_folder(device, netlist, seed=seed, algorithms=algorithms, pinout=pinout)
    if not done.is_dir():
        pins = pinout or _CLOCK_ONLY
        with whole_folder(done) as folder:
            failure = done.with_name(f"{done.name}.log")
            _place(device, netlist, folder, seed, algorithms, pins, watch, failure)
    held: dict[str, Any] = json.loads((done / _RESULT).read_text())
    return Placement(**held | {"area": Area(**held["area"])})


def _place(
    device: Device,
    netlist: Path,
    folder: Path,
    seed: int,
    algorithms: Algorithms,
    pinout: Pinout,
    watch: Callable[[str], None],
    failure: Path,
) -> None:
    """Place and route into ``folder``; where that fails the log becomes the file ``failure``."""
    errors: list[str] = []

    def follow(line: str) -> None:
        if error := _ERROR.match(line):
            errors.append(error[1])
        if stage := _STAGE.match(line):
            watch(f"seed {seed}: {stage[1]}")

    if device.family is Family.ECP5:
        (folder / _PINS).write_text(pinout.constraints)
    log, report = folder / LOG, folder / _REPORT
    began = time.perf_counter()
    arguments = _arguments(device, netlist, f"{folder.name}/", seed, algorithms, pinout)
    code = run_tool(PLACERS[device.family], arguments, netlist.parent, log, follow)
    if code or not report.is_file():
        log.replace(failure)
        # The first one is the cause; what follows says which step it ended.
        raise Unroutable(device, errors[0] if errors else f"exit code {code}, see {failure}")
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
    write_json(folder / _RESULT, asdict(placement))


def _arguments(
    device: Device,
    netlist: Path,
    place: str,
    seed: int,
    algorithms: Algorithms,
    pinout: Pinout,
) -> list[str]:
    """Return the command line; file names are relative, since the tool sees no other folder.

    ``place`` stands before the names of the files of the placement.
    """
    common = [
        *("--json", netlist.name),
        *("--seed", str(seed)),
        *("--freq", str(_GOAL_MHZ[device.family])),
        *("--report", f"{place}{_REPORT}"),
        *("--placer", algorithms.placer.value),
        *("--router", algorithms.router.value),
        "--timing-allow-fail",
    ]
    config = f"{place}{CONFIGURATION}"
    if device.family is Family.ICE40:
        package = ("--package", device.package)
        return ["--up5k", *package, *common, "--asc", config, "--pcf-allow-unconstrained"]
    part = (
        f"--{device.name.rpartition('-')[2]}",
        *("--package", pinout.package),
        *("--speed", str(pinout.speed)),
    )
    pins = ["--lpf", f"{place}{_PINS}"]
    if not pinout.complete:
        pins.append("--lpf-allow-unconstrained")
    return [*part, *common, *pins, "--textcfg", config]
