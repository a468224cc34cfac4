# SPDX-License-Identifier: Apache-2.0
"""``tritone explore``: the machines that are worth making for a network on a device."""

from __future__ import annotations

import json
import re
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tritone.cli.options import require_path
from tritone.cli.placed_machines import HARDWARE, RESULTS, placed_machines
from tritone.cli.results import exported_top1, read_rows
from tritone.cli.toggles import main_codebook
from tritone.estimate import NotMapped, area_model, clock_class
from tritone.estimate.candidates import TooLarge, candidate, shapes
from tritone.estimate.front import Point, pareto_front
from tritone.graph import Network
from tritone.spec.device import Device
from tritone.spec.machine import MachineConfig
from tritone.spec.storage import read_json, write_atomically, write_json

__all__ = [
    "Exploration",
    "Subject",
    "explore",
    "explored_path",
    "load_subjects",
    "point_row",
    "write_exploration",
]


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A network that machines are sought for.

    Parameters
    ----------
    name : of the run folder or recipe.
    network : its integers.
    codebook : of the layers that do most of the work.
    top1 : %, of the run's network; of one with random weights, the mean of trained runs of the same
        recipe, whatever their seeds; None without.
    """

    name: str
    network: Network
    codebook: str
    top1: float | None


@dataclass(frozen=True, kw_only=True)
class Exploration:
    """What was found.

    Parameters
    ----------
    device : on what.
    points : all machines that run a network there.
    front : those that no other one dominates, the smallest first.
    left_out : how many machines were left out for each reason, most of them first.
    """

    device: Device
    points: tuple[Point, ...]
    front: tuple[Point, ...]
    left_out: tuple[tuple[str, int], ...]


def load_subjects(
    names: Sequence[str], results: Path | None, data: Path, build: Path
) -> tuple[Subject, ...]:
    """Return the networks of run folders and recipes.

    A recipe's network is drawn with random weights into ``build/explore/<name>``.

    Parameters
    ----------
    names : folders or recipes.
    results : folder of the tables with the top-1 of trained runs; None: docs/results.
    data : folder of the data sets.
    build : folder for what is generated.

    Raises
    ------
    FileNotFoundError : a run without a graph.
    ValueError : neither a folder nor a recipe; two of the same name.
    """
    subjects = []
    for name in names:
        run = Path(name) if Path(name).is_dir() else _draw(name, data, build)
        graph = require_path(run / "graph", f"tritone export {run}")
        network = Network.load(graph)
        subjects.append(
            Subject(
                name=run.resolve().name,
                network=network,
                codebook=main_codebook(network),
                top1=_top1(run, network, results or RESULTS),
            )
        )
    counts = Counter(subject.name for subject in subjects)
    if len(counts) < len(subjects):
        name = counts.most_common(1)[0][0]
        raise ValueError(f"Networks must have names of their own, not {name} twice")
    return tuple(subjects)


def _draw(name: str, data: Path, build: Path) -> Path:
    """Export the network of a recipe with random weights; return its folder."""
    from tritone.qat.recipe import load_recipe, recipe_names
    from tritone.qat.untrained import export_untrained

    if name not in recipe_names() and not Path(name).is_file():
        raise ValueError(
            f"Network must be a run folder, a recipe ({', '.join(recipe_names())}) or its .toml "
            f"file, not {name!r}"
        )
    run = build / "explore" / Path(name).stem
    with Console(stderr=True).status(f"drawing the network of {name}"):
        export_untrained(load_recipe(name), run, 1, data)
    return run


def _top1(run: Path, network: Network, results: Path) -> float | None:
    """Return the top-1 of a run; of one with random weights, what the same setting reaches."""
    trained, drawn = run / "train.json", run / "untrained.json"
    if trained.is_file():
        report = read_json(trained, "Report", dict)
        top1 = report.get(exported_top1(report, network))
        return None if top1 is None else float(top1)
    if not drawn.is_file():
        return None
    # Another training, or other activations, may be a network of another top-1.
    mine = read_json(drawn, "Report", dict)
    found = [
        row["top1_frozen"]
        for row in read_rows(results / f"{mine['dataset']}.json")
        if row.get("setting") is not None and row["setting"] == mine.get("setting")
    ]
    known = [top1 for top1 in found if top1 is not None]
    return statistics.mean(known) if known else None


def explore(
    subjects: Sequence[Subject], device: Device, results: Path | None = None
) -> Exploration:
    """Return the machines of all shapes and kinds that run ``subjects`` on ``device``.

    Parameters
    ----------
    subjects : the networks; the front is that of all of them.
    device : of a family that there is an estimate for.
    results : as for ``placed_machines``.

    Raises
    ------
    ValueError : there is no estimate, no clock, or no machine that fits.
    FileNotFoundError : there is no table of placed machines.
    """
    model = area_model(device.family)
    hardware = placed_machines(results)
    if hardware is None:
        raise FileNotFoundError(
            f"{RESULTS / HARDWARE} must be there for the clocks of placed machines; "
            "give its folder with --results"
        )
    if clock_class(1, device, hardware) is None:
        raise ValueError(
            f"Results must have a machine placed on {device.family.value} for its clock, "
            f"in {(results or RESULTS) / HARDWARE}"
        )
    points: list[Point] = []
    left_out: Counter[str] = Counter()
    work = [(subject, machine) for subject in subjects for machine in shapes(subject.network)]
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("machines", total=len(work))
        for subject, machine in work:
            try:
                found = candidate(subject.network, machine, device, model)
            except TooLarge:
                left_out[f"too large for {device.name}"] += 1
            except NotMapped:
                left_out["of a shape or kind that the sweep of areas does not have"] += 1
            except ValueError as error:
                left_out[f"cannot run {subject.name}: {error}"] += 1
            else:
                clock = clock_class(machine.macs_per_cycle, device, hardware)
                assert clock is not None
                points.append(
                    Point(
                        network=subject.name,
                        codebook=subject.codebook,
                        candidate=found,
                        clock=clock,
                        top1=subject.top1,
                    )
                )
            progress.advance(bar)
    if not points:
        reason, count = left_out.most_common(1)[0]
        raise ValueError(
            f"Network must run on a machine that fits {device.name}, and there is none; "
            f"{count} of {len(work)}: {reason}"
        )
    points = _named_apart(points)
    return Exploration(
        device=device,
        points=tuple(points),
        front=tuple(pareto_front(points)),
        left_out=tuple(left_out.most_common()),
    )


def _named_apart(points: Sequence[Point]) -> list[Point]:
    """Return the points with machines of different names where they differ.

    Of one shape networks may have machines of different memories: their names begin with the
    network's then.
    """
    prints: dict[str, set[int]] = {}
    labels: dict[str, str] = {}
    for point in points:
        machine = point.candidate.machine
        prints.setdefault(machine.name, set()).add(machine.fingerprint)
        if point.network not in labels:
            label = re.sub(r"[^A-Za-z0-9_-]", "_", point.network)
            while label in labels.values():
                label += "_"
            labels[point.network] = label
    named = []
    for point in points:
        machine = point.candidate.machine
        if len(prints[machine.name]) > 1:
            own = replace(machine, name=f"{labels[point.network]}-{machine.name}")
            point = replace(point, candidate=replace(point.candidate, machine=own))
        named.append(point)
    return named


def explored_path(subjects: Sequence[Subject], device: Device, build: Path) -> Path:
    """Return where the JSON of an exploration goes: into a folder of its own.

    Picture and machines stand beside it.
    """
    names = "+".join(subject.name for subject in subjects)
    return build / "explore" / f"{names}-{device.name}" / "front.json"


def point_row(point: Point) -> dict[str, Any]:
    """Return a point as JSON values."""
    machine, area = point.candidate.machine, point.candidate.area
    return {
        "network": point.network,
        "codebook": point.codebook,
        "machine": _values(machine),
        "macs_per_cycle": machine.macs_per_cycle,
        "cycles_per_image": point.candidate.cycles,
        "fmax_mhz": point.clock.fmax_mhz,
        "fmax_of": f"{point.clock.machine} on {point.clock.device}",
        "fps": round(point.fps, 1),
        **{name: getattr(area, name) for name in ("sites", "ff", "bram", "dsp")},
        "top1": point.top1,
    }


def _values(machine: MachineConfig) -> dict[str, Any]:
    return {field.name: getattr(machine, field.name) for field in fields(machine)}


def _toml(machine: MachineConfig) -> str:
    """Return the file of a machine, for ``--machine``."""
    return "".join(f"{name} = {json.dumps(value)}\n" for name, value in _values(machine).items())


def write_exploration(
    found: Exploration, path: Path, synthesised: Sequence[dict[str, Any]] = ()
) -> None:
    """Write the JSON and the picture of an exploration, and a .toml of each machine of its front.

    Those of an earlier front go.

    Parameters
    ----------
    path : of the JSON.
    synthesised : rows of the front's machines as mapped and placed.
    """
    from tritone.cli.explore_picture import draw_front

    report = {
        "device": asdict(found.device) | {"family": found.device.family.value},
        "front": [point_row(point) for point in found.front],
        "points": [point_row(point) for point in found.points],
        "left_out": dict(found.left_out),
        "synthesised": list(synthesised),
    }
    write_json(path, report)
    draw_front(found, path.with_suffix(".svg"), synthesised)
    machines = [point.candidate.machine for point in found.front]
    files = {path.parent / f"{machine.name}.toml": _toml(machine) for machine in machines}
    for earlier in set(path.parent.glob("*.toml")) - set(files):
        earlier.unlink()
    for file, text in files.items():
        write_atomically(file, text.encode())
