# SPDX-License-Identifier: Apache-2.0
"""tritone.cli.run: what board.json tells. tests/system/test_board.py has the Verilog's board."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from soft_board import SoftBoard

pytest.importorskip("serial", reason="pyserial is missing: pip install -e '.[board]'")

from tritone.cli import run as run_module
from tritone.cli.run import run_on_board
from tritone.compiler import compile_network
from tritone.golden import fast
from tritone.graph import Network
from tritone.spec.machine import preset
from tritone.spec.program import Program


@pytest.fixture
def run(tmp_path: Path, every_operator: Network, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run folder with four test images; any port leads to a board in software."""
    folder = tmp_path / "run"
    every_operator.save(folder / "graph")
    program = compile_network(every_operator, preset("tiny"))
    program.save(folder / "program.bin")
    images = np.random.default_rng(3).integers(0, 256, (4, 1, 8, 8)).astype(np.uint8)
    logits = fast.run(every_operator, images)[every_operator.output].reshape(4, -1)
    # The first two labels are right, the others are not.
    labels = logits.argmax(axis=1) + np.array([0, 0, 1, 1])
    tensors = {"images": images, "labels": labels, "logits": logits}
    safetensors.numpy.save_file(tensors, folder / "graph" / "test.safetensors")

    @contextmanager
    def line(port: str, baud: int) -> Iterator[Any]:
        assert (port, baud) == ("/dev/mine", 9600)
        yield SoftBoard(memory=1 << 16, program=Program.load(folder / "program.bin"))

    monkeypatch.setattr(run_module, "open_line", line)
    return folder


def test_what_is_told(run: Path) -> None:
    """Logits against the exported ones, of all images or the first; the machine's own speed."""
    report = run_on_board(run, "/dev/mine", 9600, 0, 1.0)
    assert report == json.loads((run / "board.json").read_text())
    assert (report["images"], report["mismatches"], report["top1"]) == (4, 0, 50.0)
    assert (report["cycles_per_image"], report["machine_fps"]) == (1000, 25_000)
    assert (report["clock_mhz"], report["memory_bytes"], report["runs"]) == (25, 65536, 1)
    assert report["fps"] > 0
    first = run_on_board(run, "/dev/mine", 9600, 1, 1.0)
    assert (first["images"], first["top1"]) == (1, 100.0)


def test_mismatches(run: Path) -> None:
    """Each logit that is not the exported one counts."""
    path = run / "graph" / "test.safetensors"
    tensors = safetensors.numpy.load_file(path)
    tensors["logits"][1, 2] += 1
    tensors["logits"][3, :2] -= 1
    safetensors.numpy.save_file(tensors, path)
    assert run_on_board(run, "/dev/mine", 9600, 0, 1.0)["mismatches"] == 3


def test_more_images_than_there_are(run: Path) -> None:
    """The size of the test set is named."""
    message = r"^Images must be in 1\.\.4, the size of the test set, not 5$"
    with pytest.raises(ValueError, match=message):
        run_on_board(run, "/dev/mine", 9600, 5, 1.0)
