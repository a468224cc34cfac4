# SPDX-License-Identifier: Apache-2.0
"""Functions, and whole trainings, over a local Ray with two workers."""

from __future__ import annotations

import hashlib
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from own_network import NETWORK

from tritone.cli.cluster import LOCAL, Cluster, accelerator_share
from tritone.cli.plan import plan
from tritone.cli.results import read_rows
from tritone.cli.sweep import Work, sweep
from tritone.qat.activation_method import ActivationKind, ActivationMethod
from tritone.qat.device import Device
from tritone.qat.recipe import load_recipe, render_recipe

pytest.importorskip("ray", reason="ray is missing: pip install -e '.[cluster]'")


@pytest.fixture(scope="module")
def cluster(own_ray: None) -> Iterator[Cluster]:
    """Return a Ray of our own with two workers."""
    with Cluster(workers=2, address=LOCAL) as own:
        yield own


def test_results_come_as_they_are_done(cluster: Cluster, tmp_path: Path) -> None:
    """Every call once, with its own arguments; at most two at the same time; failures are told.

    The last call asks its process to die the first time, which is no failure: it is repeated.
    """

    def call(number: int, folder: str) -> tuple[int, int]:
        mine = Path(folder) / f"running{number}"
        mine.touch()
        together = len(list(Path(folder).glob("running*")))
        time.sleep(0.05)
        mine.unlink()
        died = Path(folder) / "died"
        if number == 3:
            raise KeyError("three")
        if number == 5 and not died.exists():
            died.touch()
            os._exit(1)
        return number, together

    seen: list[Any] = []
    calls = [(number, str(tmp_path)) for number in range(6)]
    found = dict(cluster.run(call, calls, lambda: seen.append(None)))
    assert sorted(found) == list(range(6))
    assert isinstance(found[3], Exception)
    assert "KeyError: 'three'" in str(found[3])
    right = [found[index] for index in (0, 1, 2, 4, 5)]
    assert [number for number, _ in right] == [0, 1, 2, 4, 5]
    assert max(together for _, together in right) <= 2
    assert (tmp_path / "died").exists()
    assert seen


def digest(run: Path) -> str:
    """Return the SHA-256 of the last checkpoint of a run."""
    (path,) = run.glob("checkpoint-finetune-*.safetensors")
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_sweep_gives_the_same_weights(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two recipes one after another and over Ray: equal checkpoints, and rows of a table.

    The second one has a network of its own.
    """
    monkeypatch.chdir(tmp_path)
    quick = load_recipe("digits_quick")
    assert quick.pretrain is not None
    shorter = replace(
        quick,
        pretrain=replace(quick.pretrain, epochs=1),
        finetune=replace(quick.finetune, epochs=1),
    )
    # Adapters are drawn at random: by the recipe's seed, wherever it is trained.
    other = replace(shorter, activations=ActivationMethod(quantizer=ActivationKind.ASQ))
    Path("recipes").mkdir()
    Path("recipes/first.toml").write_text(render_recipe(shorter))
    Path("recipes/my_net.py").write_text(NETWORK)
    second = render_recipe(other).replace('model = "digits"', 'model = "my_net.py:MyNet"')
    Path("recipes/second.toml").write_text(second)
    work = Work(data=Path("data"), device=Device.CPU, export=False)
    runs: dict[str, list[Path]] = {}
    for name, place in (("alone", None), ("ray", cluster)):
        # Relative folders: the workers have to go where the command was given.
        tasks = plan(Path("recipes"), Path(name))
        outcomes = list(sweep(tasks, work, Path(f"{name}.json"), place))
        assert [outcome.reason for outcome in outcomes] == [None, None]
        runs[name] = [task.run for task in tasks]
        assert sorted(row["recipe"] for row in read_rows(Path(f"{name}.json"))) == [
            "recipes/first.toml",
            "recipes/second.toml",
        ]
    expected = [digest(run) for run in runs["alone"]]
    assert len(set(expected)) == 2
    assert [row["model"] for row in read_rows(Path("alone.json"))] == ["digits", "MyNet"]
    assert [digest(run) for run in runs["ray"]] == expected
    # What a worker shows goes into the folder of its run.
    assert "finetune 1/1" in Path("ray/first/sweep.log").read_text()


@pytest.mark.parametrize(
    ("workers", "accelerators", "share"),
    [(3, 0, 0.0), (1, 1, 1.0), (2, 1, 0.5), (4, 3, 0.5), (4, 4, 1.0), (1, 8, 1.0)],
)
def test_shares_of_accelerators(workers: int, accelerators: int, share: float) -> None:
    """Four workers on three accelerators: a share of 3/4 would fit each of them only once."""
    assert accelerator_share(workers, accelerators) == share


def test_what_is_refused() -> None:
    """Numbers that mean nothing, and addresses where no Ray is."""
    with pytest.raises(ValueError, match=r"^Workers must be at least 1, not 0$"):
        Cluster(workers=0)
    with pytest.raises(ValueError, match=r"^Threads must be at least 1, not 0$"):
        Cluster(threads=0)
    for address in ("here", "ray:", ":6379", "ray://here:10001/"):
        message = f"^Address of a Ray must be host:port or local, not '{address}'$"
        with pytest.raises(ValueError, match=message), Cluster(address=address):
            pass
    # A port that is taken, so no other program can have it, and on which nobody listens.
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        message = f"^Ray must answer at {address}, and does not: "
        with pytest.raises(ConnectionError, match=message), Cluster(address=address):
            pass


def test_what_a_cluster_cannot_hold(cluster: Cluster) -> None:
    """The processors of its largest machine are named."""
    import ray

    too_large = Cluster(threads=3)
    message = r"^Threads of a task must be at most 2, the processors of the largest machine, not 3$"
    with pytest.raises(ValueError, match=message):
        too_large._measure(ray)
