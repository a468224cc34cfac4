# SPDX-License-Identifier: Apache-2.0
"""The history of a run has every epoch once, whatever interrupted it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tritone.qat.history import CodeUse, EpochRecord, Observation, read_history, record_epoch


def epoch(stage: str, number: int, loss: float = 1.0) -> EpochRecord:
    """Return a record."""
    return EpochRecord(stage=stage, epoch=number, loss=loss, top1=50.0)


def test_epochs_are_kept_in_order(tmp_path: Path) -> None:
    """Records come back as they were given; a run without history has none."""
    assert read_history(tmp_path) == []
    records = [epoch("pretrain", 1), epoch("pretrain", 2), epoch("finetune", 1)]
    for record in records:
        record_epoch(tmp_path, record)
    assert read_history(tmp_path) == records


def test_a_repeated_epoch_replaces_what_it_left(tmp_path: Path) -> None:
    """A training that goes on from an older checkpoint drops what was recorded behind it."""
    for record in (epoch("pretrain", 1), epoch("pretrain", 2), epoch("pretrain", 3)):
        record_epoch(tmp_path, record)
    record_epoch(tmp_path, epoch("pretrain", 2, loss=0.5))
    assert read_history(tmp_path) == [epoch("pretrain", 1), epoch("pretrain", 2, loss=0.5)]


def test_warnings() -> None:
    """Each tensor has its line, with the beta that its images had."""
    seen = Observation(
        betas={"a": [0.25] * 5, "b": [1.5] * 5, "c": [0.5, 1, 1, 1, 2]}, dead=["a"], constant=["b"]
    )
    assert seen.warnings == [
        (
            "the adapter of a is dead: beta is 0.25 for every image and learns nothing more; a "
            "lower learning rate may help"
        ),
        (
            "the adapter of b is constant: its hidden layer is 0 and beta is 1.5 for every image; "
            "a lower learning rate may help"
        ),
    ]
    assert Observation().warnings == []


def test_observations_survive_a_file(tmp_path: Path) -> None:
    """All of its parts, and that there was none."""
    seen = Observation(
        clipped={"a": 0.25},
        betas={"a": [0.5, 1, 1, 1, 2]},
        dead=["a"],
        constant=["b"],
        weights={"conv": CodeUse(codebook="binary", times=[3, 4])},
    )
    records = [
        EpochRecord(stage="pretrain", epoch=1, loss=1.0, top1=50.0),
        EpochRecord(stage="finetune", epoch=1, loss=1.0, top1=50.0, observation=seen),
    ]
    for record in records:
        record_epoch(tmp_path, record)
    assert read_history(tmp_path) == records


def test_histories_without_weights_are_read(tmp_path: Path) -> None:
    """Of runs from before they were noted."""
    text = '[{"stage": "finetune", "epoch": 1, "loss": 1, "top1": 50, "observation": {"dead": []}}]'
    (tmp_path / "history.json").write_text(text)
    assert [each.observation for each in read_history(tmp_path)] == [Observation()]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[{", r"^History .*history\.json must be JSON, not damaged: .*$"),
        ("{}", r"^History .*history\.json must hold an array, not \{\}$"),
        ("[1]", r"^History .*history\.json must hold epochs, not 1$"),
        ('[{"epoch": 1}]', r"^History .*history\.json must hold epochs, not \{'epoch': 1\}$"),
    ],
)
def test_refuses_damage(tmp_path: Path, text: str, message: str) -> None:
    """The file is named."""
    (tmp_path / "history.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_history(tmp_path)
