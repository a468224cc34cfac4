# SPDX-License-Identifier: Apache-2.0
"""A sweep runs what is left, goes on behind a failure, and tells of it."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tritone.cli import sweep as module
from tritone.cli.app import main
from tritone.cli.occupancy import occupied
from tritone.cli.plan import Task, plan
from tritone.cli.sweep import require_table
from tritone.qat.recipe import DataChoice, Recipe, load_recipe, render_recipe

QUICK = load_recipe("digits_quick")


def shortened(**changes: Any) -> Recipe:
    """Return a recipe of one epoch of each stage."""
    assert QUICK.pretrain is not None
    return replace(
        QUICK,
        pretrain=replace(QUICK.pretrain, epochs=1),
        finetune=replace(QUICK.finetune, epochs=1),
        **changes,
    )


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder, below the working directory, with one recipe."""
    monkeypatch.chdir(tmp_path)
    path = Path("recipes")
    path.mkdir()
    (path / "good.toml").write_text(render_recipe(shortened()))
    return path


def test_train_export_check_and_table(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every seed is trained, exported and compared with golden, and is a row; nothing is repeated.

    360 test images are the digits' last fifth.
    """
    assert main(["sweep", "recipes", "--list"]) == 0
    assert "not run" in capsys.readouterr().out
    assert not Path("runs").exists()
    command = ["sweep", "recipes", "--export", "--seeds", "0,1", "--results", "out/digits.json"]
    assert main(command) == 0
    rows = json.loads(Path("out/digits.json").read_text())
    assert [(row["seed"], row["golden_equal"]) for row in rows] == [(0, 360), (1, 360)]
    assert rows[0]["setting"] == rows[1]["setting"]
    assert rows[0]["top1_quant"] != rows[1]["top1_quant"]
    assert rows[1]["recipe"] == "recipes/good.toml"
    assert rows[1]["command"] == (
        "tritone train recipes/good.toml --run runs/good_seed1 --seed 1 && "
        "tritone export runs/good_seed1 && tritone check runs/good_seed1"
    )
    assert "± " in Path("out/digits.md").read_text()
    assert "│      360 │" in capsys.readouterr().out

    def changed() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in Path("runs").rglob("*")}

    before = changed()
    Path("out/digits.json").unlink()
    assert main(command) == 0
    assert changed() == before
    assert json.loads(Path("out/digits.json").read_text()) == rows

    # The same as the command of the row.
    words = rows[1]["command"].split(" && ")[0].replace("runs/", "again/").split()
    assert main(words[1:]) == 0
    one, other = (
        json.loads(Path(each, "good_seed1", "train.json").read_text()) for each in ("runs", "again")
    )
    assert one["top1_frozen"] == other["top1_frozen"]


def test_failures(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A broken recipe, and a loss that is no number: one line each; the others run; exit code 1."""
    (folder / "broken.toml").write_text('name = "x"\n')
    wild = shortened()
    assert wild.pretrain is not None
    wild = replace(wild, pretrain=replace(wild.pretrain, learning_rate=1e9))
    (folder / "a_wild.toml").write_text(render_recipe(wild))
    assert main(["sweep", "recipes", "--results", "out/digits.json"]) == 1
    output = capsys.readouterr()
    reasons = [line for line in output.out.splitlines() if line.startswith("failed: ")]
    assert reasons[0] == "failed: broken: Recipe must have the key dataset"
    assert reasons[1].startswith("failed: a_wild: Loss must be finite, not nan, in epoch 1")
    assert len(reasons) == 2
    # Told when it happens, too.
    assert [line for line in output.err.splitlines() if line.startswith("failed: ")] == reasons
    (row,) = json.loads(Path("out/digits.json").read_text())
    assert row["recipe"] == "recipes/good.toml"
    assert (row["golden_equal"], row["command"]) == (
        None,
        "tritone train recipes/good.toml --run runs/good",
    )


def test_a_bug_does_not_stop_the_others(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its traceback stays in the run folder, and its kind is named."""
    (folder / "a.toml").write_text(render_recipe(shortened(batch=64)))
    real = module.train

    def train(recipe: Recipe, *rest: Any) -> Any:
        if recipe.batch == 64:
            raise KeyError("a bug")
        return real(recipe, *rest)

    monkeypatch.setattr(module, "train", train)
    assert main(["sweep", "recipes"]) == 1
    assert "failed: a: KeyError: 'a bug' (runs/a/traceback.txt)\n" in capsys.readouterr().out
    assert 'raise KeyError("a bug")' in Path("runs/a/traceback.txt").read_text()
    assert Path("runs/good/train.json").is_file()


def test_frozen_and_golden_that_differ(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run whose logits are not golden's fails, and gets no row; also when it is swept again."""
    real = module.export_run

    def export_wrongly(run: Path, data: Path) -> Any:
        import safetensors.numpy

        network = real(run, data)
        path = run / "graph" / "test.safetensors"
        tensors = safetensors.numpy.load_file(path)
        tensors["logits"][7, 0] += 1
        safetensors.numpy.save_file(tensors, path)
        return network

    monkeypatch.setattr(module, "export_run", export_wrongly)
    for results in ([], ["--results", "digits.json"]):
        assert main(["sweep", "recipes", "--export", *results]) == 1
        assert "failed: good: Run runs/good must have no mis" in capsys.readouterr().out
    assert not Path("digits.json").exists()


def task(path: str, **changes: Any) -> Task:
    """Return a task of a recipe with these changes."""
    return Task(path=Path(path), run=Path("run"), seed=None, recipe=replace(QUICK, **changes))


def test_what_no_table_takes() -> None:
    """Validation images, several data sets, another kind of file; before anything is trained."""
    good, none = task("a.toml"), Task(path=Path("b.toml"), run=Path("run"), seed=None)
    require_table([good, none], Path("t.json"))
    with pytest.raises(ValueError, match=r"^Table of results must be a \.json file, not docs$"):
        require_table([good], Path("docs"))
    message = r"^Recipes must be of one data set to share t\.json, not cifar10, digits$"
    with pytest.raises(ValueError, match=message):
        require_table([good, task("b.toml", dataset="cifar10")], Path("t.json"))
    message = r"^Recipe c\.toml must be measured on test images to be a row of t\.json, not on 100 "
    with pytest.raises(ValueError, match=message):
        require_table([good, task("c.toml", data=DataChoice(validation=100))], Path("t.json"))


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["nowhere"], "Folder of a sweep must hold recipes (*.toml), not nowhere"),
        (["recipes", "--seeds", "a"], "Seeds must be different numbers such as 0,1,2, not 'a'"),
        (["recipes", "--device", "tpu"], "Device must be one of auto, cpu, cuda, not 'tpu'"),
        (["recipes", "--workers", "2"], "Sweep must have --cluster to have --workers or --address"),
        (["recipes", "--results", "docs"], "Table of results must be a .json file, not docs"),
    ],
)
def test_what_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], line: str
) -> None:
    """One line, exit code 2, and nothing is run."""
    assert main(["sweep", *arguments]) == 2
    assert capsys.readouterr().err == f"error: {line}\n"
    assert not Path("runs").exists()


def test_a_run_that_another_process_has(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is left to that one; the others are run."""
    (folder / "other.toml").write_text(render_recipe(shortened(seed=1)))
    command = ["sweep", "recipes", "--results", "out/digits.json"]
    with occupied(Path("runs/good")):
        assert main(command) == 0
        output = capsys.readouterr()
        assert "another process runs it" in output.err
        (line,) = (line for line in output.out.splitlines() if "good" in line)
        assert "running" in line
    assert not Path("runs/good/train.json").exists()
    assert [row["seed"] for row in json.loads(Path("out/digits.json").read_text())] == [1]
    assert main(command) == 0
    assert [row["seed"] for row in json.loads(Path("out/digits.json").read_text())] == [1, 0]


def test_ray_that_is_missing(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its extra is named, and nothing is run."""
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main(["sweep", "recipes", "--cluster"]) == 2
    assert capsys.readouterr().err == (
        "error: ray is missing; install it with: pip install -e '.[cluster]'\n"
    )
    assert not Path("runs").exists()


def test_plan_is_what_is_swept(folder: Path) -> None:
    """A run that was started with another recipe is not gone on with."""
    assert main(["sweep", "recipes"]) == 0
    (folder / "good.toml").write_text(render_recipe(shortened(batch=64)))
    assert main(["sweep", "recipes"]) == 1
    assert [each.run for each in plan(folder, Path("runs"))] == [Path("runs/good")]
