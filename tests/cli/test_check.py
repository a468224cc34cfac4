# SPDX-License-Identifier: Apache-2.0
"""The frozen model of a run is compared with the golden one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from rich.console import Console

from tritone.cli.app import main
from tritone.cli.check import check_run, read_check
from tritone.golden import layers
from tritone.graph import Network

QUIET = Console(quiet=True)
IMAGES = 6


@pytest.fixture
def run(tmp_path: Path, random_network: Callable[..., Network], spec: Any) -> Path:
    """Return a run folder as export leaves it; four of six labels are what the logits say."""
    folder = tmp_path / "run"
    network = random_network((1, 4, 4), [spec(out=5, kernel=(4, 4), wide=True)], seed=3)
    images = np.random.default_rng(7).integers(0, 256, (IMAGES, 1, 4, 4)).astype(np.uint8)
    logits = layers.run(network, images)[network.output].reshape(IMAGES, -1)
    labels = logits.argmax(axis=1)
    labels[[1, 4]] = (labels[[1, 4]] + 1) % 5
    network.save(folder / "graph")
    tensors = {"images": images, "labels": labels, "logits": logits}
    safetensors.numpy.save_file(tensors, folder / "graph" / "test.safetensors")
    return folder


def change_logit(run: Path) -> None:
    """Let the frozen model say something else about image 3."""
    path = run / "graph" / "test.safetensors"
    tensors = safetensors.numpy.load_file(path)
    tensors["logits"][3, 2] += 1
    safetensors.numpy.save_file(tensors, path)


def test_a_run_that_agrees(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 0, a table, and check.json with what was compared."""
    assert main(["check", str(run)]) == 0
    assert "images with equal logits" in capsys.readouterr().out
    report = json.loads((run / "check.json").read_text())
    assert (report["images"], report["golden_equal"], report["logits"]) == (6, 6, 30)
    # Four images of 16 bytes and 5 logits went through the slow model.
    assert (report["sampled_images"], report["sampled_values"]) == (4, 4 * 21)
    assert report["mismatches"] == 0
    assert report["top1"] == pytest.approx(100 * 4 / 6)  # a sum of six floats
    assert read_check(run) == report


def test_a_run_that_differs(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One logit: exit code 1, and its image is named."""
    change_logit(run)
    assert main(["check", str(run)]) == 1
    assert "first image that differs" in capsys.readouterr().out
    report = json.loads((run / "check.json").read_text())
    assert (report["golden_equal"], report["mismatches"]) == (5, 1)
    assert report["first_differing_image"] == 3


def test_a_check_of_what_is_no_longer_there(run: Path) -> None:
    """Another test set or graph, or none: the check counts no more."""
    assert read_check(run) is None
    check_run(run, QUIET)
    change_logit(run)
    assert read_check(run) is None
    check_run(run, QUIET)
    (run / "graph" / "network.json").unlink()
    assert read_check(run) is None


def test_what_is_refused(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No export, and a test set that is damaged: one line, exit code 2."""
    path = run / "graph" / "test.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    assert main(["check", str(run)]) == 2
    line = capsys.readouterr().err
    assert line.startswith(f"error: Test set {path} must be a safetensors file: ")
    assert line.count("\n") == 1
    path.unlink()
    assert main(["check", str(run)]) == 2
    assert capsys.readouterr().err == (
        f"error: {path} must be there; make it with: tritone export {run}\n"
    )
    assert not (run / "check.json").exists()
