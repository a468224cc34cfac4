# SPDX-License-Identifier: Apache-2.0
"""tritone.cli.bench: options reach what measures. System tests run the real simulations."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from tritone.cli.app import main


def test_bench_train_prints_a_row_for_each_method(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The options reach the measurement, whose times are printed."""
    from tritone.qat import benchmark

    asked = []

    def times(rounds: int, **options: Any) -> list[benchmark.StepTime]:
        asked.append((rounds, options))
        return [benchmark.StepTime(name="FP32", seconds=0.25, ratio=1.0)]

    monkeypatch.setattr(benchmark, "time_training", times)
    assert main(["bench", "train", "--rounds", "3", "--batch", "16", "--threads", "2"]) == 0
    assert asked == [(3, {"model": "resnet20", "batch": 16, "threads": 2})]
    assert "250.0" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("sim", "nowhere"), "nowhere/program.bin must be there; make it with: tritone compile "),
        (("conv", "--machine", "huge"), "Machine must be one of tiny, "),
        (("conv", "--machine", "narrow.toml"), "Layer convolution must fit 64 feature words "),
        (("hw", "--bits", "5"), "Bits must be one of [4, 8], not 5"),
        (("hw", "--target", "huge"), "Target must be one of "),
    ],
)
def test_what_is_missing_is_one_line(
    arguments: tuple[str, ...],
    message: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    # A row of the convolution's output, with the rows it is made of, does not fit.
    Path("narrow.toml").write_text("rows = 8\ncolumns = 8\npixels = 1\nfeature_words = 64\n")
    assert main(["bench", *arguments]) == 2
    assert capsys.readouterr().err.startswith(f"error: {message}")


def test_a_missing_rival_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """NNgen is no part of ``tritone[all]``."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "nngen", None)
    assert main(["bench", "hw"]) == 2
    message = "error: nngen is missing; install it with: pip install -e '.[bench]'\n"
    assert capsys.readouterr().err == message
