# SPDX-License-Identifier: Apache-2.0
"""A digit through a board in Verilator, from the host's software to its logits.

The command is the one for a board on the desk; only the port is that of the simulation.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from tritone.cli.app import main
from tritone.qat.recipe import load_recipe
from tritone.qat.untrained import export_untrained

pytest.importorskip("serial", reason="pyserial is missing: pip install -e '.[board]'")

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The digits network with random weights, its program and a held-out digit."""
    folder = tmp_path_factory.mktemp("board") / "run"
    export_untrained(load_recipe("digits"), folder, 1, folder)
    assert main(["compile", str(folder), "--machine", "tiny"]) == 0
    return folder


def test_a_digit(run: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Every logit is the one that PyTorch exported."""
    assert main(["run", str(run), "--simulate", "--build", str(ROOT / "build")]) == 0
    printed = capfd.readouterr().out
    assert "mismatches with the exported logits" in printed
    report = json.loads((run / "board.json").read_text())
    assert (report["images"], report["mismatches"], report["runs"]) == (1, 0, 1)
    assert report["machine"] == "tiny"
    assert (report["clock_mhz"], report["memory_bytes"]) == (25, 65536)
    assert report["repeated_requests"] == 0
    assert report["machine_fps"] == 25e6 / report["cycles_per_image"]
    test = safetensors.numpy.load_file(run / "graph" / "test.safetensors")
    assert np.abs(test["logits"]).max() > 0
