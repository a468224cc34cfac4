# SPDX-License-Identifier: Apache-2.0
"""tritone.cli.bench: options reach what measures. System tests run the real simulations."""

from __future__ import annotations

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
        (("conv", "--machine", "tiny"), "Layer convolution must fit 512 feature words "),
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
    assert main(["bench", *arguments]) == 2
    assert capsys.readouterr().err.startswith(f"error: {message}")
