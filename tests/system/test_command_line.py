# SPDX-License-Identifier: Apache-2.0
"""The commands behind training, on the real tools: compile, rtl, sim, show."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from tritone.cli.app import main
from tritone.golden import fast
from tritone.graph import Network, PoolKind
from tritone.spec.machine import preset

# The cache of compiled models that all system tests share.
BUILD = Path(__file__).resolve().parents[2] / "build"
IMAGES = 2


@pytest.fixture
def run(tmp_path: Path, random_network: Callable[..., Network], spec: Any) -> Path:
    """Return a run folder as export leaves it, with two test images."""
    folder = tmp_path / "run"
    layers = [
        spec(out=9, pad=(1, 1, 1, 1)),
        spec(kind=PoolKind.MAX, kernel=(2, 2), stride=2),
        spec(out=4, kernel=(2, 2), codebook="int8", bits=8, wide=True),
    ]
    network = random_network((1, 4, 4), layers, seed=5)
    images = np.random.default_rng(11).integers(0, 256, (IMAGES, 1, 4, 4)).astype(np.uint8)
    logits = fast.run(network, images)[network.output].reshape(IMAGES, -1)
    network.save(folder / "graph")
    tensors = {"images": images, "labels": logits.argmax(axis=1), "logits": logits}
    safetensors.numpy.save_file(tensors, folder / "graph" / "test.safetensors")
    return folder


def test_from_graph_to_comparison(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A run is compiled, simulated and shown; nothing differs and every value is compared."""
    assert main(["compile", str(run), "--machine", "tiny"]) == 0
    assert main(["sim", str(run), "--layers", "--build", str(BUILD)]) == 0
    report = json.loads((run / "sim.json").read_text())
    # 9 channels of 4x4, pooled to 2x2, and 4 logits.
    assert report["values"] == IMAGES * (9 * 16 + 9 * 4 + 4)
    assert (report["images"], report["mismatches"], report["top1"]) == (IMAGES, 0, 100.0)
    assert main(["show", str(run)]) == 0
    printed = capsys.readouterr().out
    assert "Simulation of tiny" in printed
    assert "│ layer2 │ tensor2 │ " in printed


def compare_simulators(run: Path, *options: str) -> None:
    """Require the same report of one simulator and of several."""
    assert main(["compile", str(run), "--machine", "tiny"]) == 0
    reports = []
    for each in ((), options):
        assert main(["sim", str(run), *each, "--build", str(BUILD)]) == 0
        report = json.loads((run / "sim.json").read_text())
        reports.append({name: report[name] for name in report if "seconds" not in name})
    assert reports[0] == reports[1]
    # The free run, and a share of each of the two images.
    assert len(list((run / "simulation").glob("share*"))) == 1 + IMAGES


def test_simulators_at_once_write_the_same(run: Path) -> None:
    """Two processes of this machine."""
    compare_simulators(run, "--processes", "2")


def test_simulators_over_ray_write_the_same(run: Path, own_ray: None) -> None:
    """A Ray of our own with two workers."""
    compare_simulators(run, "--cluster", "--address", "local", "--processes", "2")


def test_a_difference_fails(run: Path) -> None:
    """One logit that the frozen model is said to have given otherwise: exit code 1."""
    path = run / "graph" / "test.safetensors"
    tensors = safetensors.numpy.load_file(path)
    tensors["logits"][1, 2] += 1
    safetensors.numpy.save_file(tensors, path)
    assert main(["compile", str(run), "--machine", "tiny"]) == 0
    assert main(["sim", str(run), "--build", str(BUILD)]) == 1
    assert json.loads((run / "sim.json").read_text())["mismatches"] == 1


def test_speed_of_a_run(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The bench and the bare model run the same program; each has its row."""
    assert main(["compile", str(run), "--machine", "tiny"]) == 0
    assert main(["bench", "sim", str(run), "--images", "2", "--build", str(BUILD)]) == 0
    printed = capsys.readouterr().out
    assert "Simulation: random on tiny" in printed
    for part in ("bench with dumps", "bench without", "bare C++ model"):
        assert f"│ {part} " in printed


def test_a_convolution_on_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A row of results whose command gives the same row again."""
    results = tmp_path / "results"
    command = ["bench", "conv", "--machine", "tiny-p4", "--maps", "1", "--results", str(results)]
    assert main([*command, "--build", str(BUILD)]) == 0
    (row,) = json.loads((results / "accelerator.json").read_text())
    assert row["command"] == f"tritone {' '.join(command)}"
    assert (row["mismatches"], row["machine"]) == (0, "tiny-p4")
    assert "cycles a map, transfers included" in capsys.readouterr().out


def test_generated_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """``rtl`` writes Verilog with the top module and a header with the fingerprint, and says so."""
    monkeypatch.chdir(tmp_path)
    assert main(["rtl", "--machine", "tiny", "--build", "out"]) == 0
    assert "module tritone(" in Path("out/tritone_tiny.v").read_text()
    assert f"{preset('tiny').fingerprint:016x}" in Path("out/tritone_tiny.h").read_text()
    assert "out/tritone_tiny.v" in capsys.readouterr().out
    assert main(["rtl", "--machine", "tiny", "--target", "ecp5", "--build", "out"]) == 0
    assert " CCU2C " in Path("out/tritone_tiny_ecp5.v").read_text()
    assert "out/tritone_tiny_ecp5.v" in capsys.readouterr().out
