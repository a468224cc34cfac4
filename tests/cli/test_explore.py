# SPDX-License-Identifier: Apache-2.0
"""Machines for a network: what is sought, what is left out, which top-1 is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tritone.cli.explore import (
    Subject,
    explore,
    explored_path,
    load_subjects,
    point_row,
    write_exploration,
)
from tritone.cli.machine_file import load_machine
from tritone.compiler import compile_network, describe
from tritone.estimate.front import dominates
from tritone.graph import Network
from tritone.spec.device import device

PLACE = device("ecp5-85k")
RESULTS = Path(__file__).resolve().parents[2] / "docs" / "results"


@pytest.fixture
def subject(random_network: Callable[..., Network], spec: Any) -> Subject:
    """A small network of powers of sqrt 2."""
    network = random_network((1, 4, 4), [spec(out=3, kernel=(4, 4), wide=True)])
    return Subject(name="small", network=network, codebook="post4", top1=None)


def test_the_digits(tmp_path: Path) -> None:
    """The network of a recipe, drawn with random weights: a front from small to fast.

    Its clocks are those of placed machines and its cycles those of compiled programs; nothing on
    the front is beaten by anything that was found.
    """
    subjects = load_subjects(["digits_quick"], RESULTS, tmp_path / "data", tmp_path)
    (digits,) = subjects
    assert (digits.name, digits.codebook) == ("digits_quick", "post4")
    found = explore(subjects, PLACE, RESULTS)
    assert len(found.front) > 3
    assert found.front[0].candidate.area.sites < found.front[-1].candidate.area.sites / 3
    assert found.front[0].fps < found.front[-1].fps
    for point in found.front:
        machine = point.candidate.machine
        assert point.candidate.cycles == describe(compile_network(digits.network, machine)).cycles
        assert not any(dominates(other, point) for other in found.points)
    beaten = [point for point in found.points if point not in found.front]
    assert all(any(dominates(other, point) for other in found.front) for point in beaten)
    assert sum(count for _, count in found.left_out) > 0
    path = explored_path(subjects, PLACE, tmp_path)
    write_exploration(found, path)
    report = json.loads(path.read_text())
    assert report["front"] == [point_row(point) for point in found.front]
    first = found.front[0].candidate.machine
    assert load_machine(str(path.parent / f"{first.name}.toml")) == first


def test_what_is_left_out(subject: Subject) -> None:
    """Every machine is a point or is counted with a reason, and kinds without sqrt 2 are told."""
    found = explore([subject], PLACE, RESULTS)
    reasons = dict(found.left_out)
    kinds = {point.candidate.machine.array.value for point in found.points}
    assert kinds == {"post"}
    assert all(
        reason.startswith(("too large for", "of a shape or kind", "cannot run small: Layer"))
        for reason in reasons
    )
    alone = explore([subject], device("ecp5-25k"), RESULTS)
    assert len(alone.points) < len(found.points)
    assert len(alone.points) + sum(count for _, count in alone.left_out) == len(found.points) + sum(
        reasons.values()
    )


def test_machines_of_one_shape(
    random_network: Callable[..., Network], spec: Any, subject: Subject, tmp_path: Path
) -> None:
    """Of other memories, for networks of other sizes: each has its file, with the network's name.

    An exploration has a folder of its own, and no machine that an earlier front of it had.
    """
    wide = random_network((1, 4, 100), [spec(out=3, kernel=(4, 4), wide=True)])
    other = Subject(name="small.2", network=wide, codebook="post4", top1=None)
    found = explore([subject, other], PLACE, RESULTS)
    path = explored_path([subject, other], PLACE, tmp_path)
    assert path == tmp_path / "explore" / "small+small.2-ecp5-85k" / "front.json"
    path.parent.mkdir(parents=True)
    (path.parent / "earlier.toml").touch()
    write_exploration(found, path)
    machines = {point.candidate.machine.name: point.candidate.machine for point in found.front}
    kinds = {(name.partition("-")[0], machine.gather_width) for name, machine in machines.items()}
    assert kinds == {("small", 64), ("small_2", 128)}
    assert {file.name for file in path.parent.glob("*.toml")} == {
        f"{name}.toml" for name in machines
    }
    for name, machine in machines.items():
        assert load_machine(str(path.parent / f"{name}.toml")) == machine
    alone = explored_path([subject], PLACE, tmp_path)
    write_exploration(explore([subject], PLACE, RESULTS), alone)
    assert alone.parent != path.parent
    assert not any(file.stem.startswith("small-") for file in alone.parent.glob("*.toml"))


def test_a_device_on_which_nothing_fits(subject: Subject) -> None:
    """The message has the commonest reason."""

    small = replace(PLACE, name="small", sites=1000)
    with pytest.raises(
        ValueError, match=r"^Network must run on a machine that fits small, and the"
    ):
        explore([subject], small, RESULTS)


DRAWN = {"dataset": "d", "model": "m", "setting": "abc", "act_bits": 4}


@pytest.mark.parametrize(
    ("name", "report", "top1"),
    [
        # A trained run has its own, whatever other runs come to.
        ("train.json", {"dataset": "d", "top1_frozen": 77.5}, 77.5),
        # Of a run with adaptive steps, the one of the network that was exported: static here.
        ("train.json", {"dataset": "d", "top1_frozen": 77.5, "top1_static": 70.0}, 70.0),
        # One with random weights: the mean of the runs of its recipe.
        ("untrained.json", DRAWN, 91.0),
        ("untrained.json", DRAWN | {"setting": "other"}, None),
        ("untrained.json", DRAWN | {"dataset": "other"}, None),
        # Drawn before a setting was told.
        ("untrained.json", {"dataset": "d", "model": "m"}, None),
    ],
)
def test_top1(
    name: str, report: dict[str, Any], top1: float | None, subject: Subject, tmp_path: Path
) -> None:
    """Of the run itself, or of trained runs of the same recipe with any seed."""
    rows = [
        {"model": "m", "act_bits": 4, "epochs": 12, "seed": seed, "setting": setting} | result
        for seed, (setting, result) in enumerate(
            [
                ("abc", {"top1_frozen": 90.0}),
                ("abc", {"top1_frozen": 92.0}),
                ("abc", {"top1_frozen": None}),
                ("asq", {"top1_frozen": 99.0}),  # other activations: another network
            ]
        )
    ]
    (tmp_path / "d.json").write_text(json.dumps(rows))
    run = tmp_path / "run"
    subject.network.save(run / "graph")
    (run / name).write_text(json.dumps(report))
    (found,) = load_subjects([str(run)], tmp_path, tmp_path, tmp_path)
    assert found.top1 == top1


def test_a_drawn_recipe_has_the_top1_of_its_own_rows(tmp_path: Path) -> None:
    """The rows of the demonstration's recipe, not those of others of its model and bits."""
    rows = json.loads((RESULTS / "digits.json").read_text())
    (demo,) = [row for row in rows if row["recipe"] == "sw/tritone/qat/recipes/digits.toml"]
    like = [row for row in rows if all(row[key] == demo[key] for key in ("model", "codebook"))]
    assert len(like) > 1
    (digits,) = load_subjects(["digits"], RESULTS, tmp_path / "data", tmp_path)
    assert digits.top1 == demo["top1_frozen"]
    (quick,) = load_subjects(["digits_quick"], RESULTS, tmp_path / "data", tmp_path)
    assert quick.top1 is None
