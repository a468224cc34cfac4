# SPDX-License-Identifier: Apache-2.0
"""The display."""

from __future__ import annotations

from io import StringIO

from rich.console import Console

from tritone.qat.progress import TrainingDisplay


def test_shows_stage_loss_and_accuracy() -> None:
    """The last line has all figures."""
    out = StringIO()
    with TrainingDisplay(Console(file=out, width=120), 4) as display:
        display.skip(2)
        display.step("finetune", 3, 8, 0.12345, 98.76)
    shown = out.getvalue()
    assert "finetune 3/8" in shown
    assert "loss 0.123  top-1 98.8 %" in shown
