# SPDX-License-Identifier: Apache-2.0
"""The command line of results; what the commands do is in the tests of the modules that do it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tritone.cli.app import main
from tritone.qat.recipe import load_recipe, render_recipe


def test_report_adds_a_row_and_writes_pages(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The options reach the row; without a run the pages are written again."""
    run, results = tmp_path / "run", tmp_path / "results"
    run.mkdir()
    (run / "recipe.toml").write_text(render_recipe(load_recipe("digits_quick")))
    training = {"dataset": "digits", "model": "small", "method": "post", "estimator": "ste"}
    training |= {"codebook": "post4", "weight_bits": 4, "act_bits": 4, "epochs": 1, "seed": 0}
    training |= {"images": "test", "top1_fp32": 99.0, "top1_quant": 98.0, "top1_frozen": 97.0}
    (run / "train.json").write_text(json.dumps(training))
    arguments = ["report", str(run), "--results", str(results), "--command", "make it"]
    assert main([*arguments, "--device", "abacus", "--recipe", "mine.toml"]) == 0
    assert "digits.json" in capsys.readouterr().out
    (row,) = json.loads((results / "digits.json").read_text())
    assert (row["device"], row["recipe"], row["command"]) == ("abacus", "mine.toml", "make it")
    page = (results / "digits.md").read_text()
    (results / "digits.md").unlink()
    assert main(["report", "--results", str(results)]) == 0
    assert (results / "digits.md").read_text() == page
