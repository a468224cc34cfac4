# SPDX-License-Identifier: Apache-2.0
"""How a training went, epoch by epoch: ``history.json`` of a run folder."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tritone.spec.storage import write_json

__all__ = ["HISTORY", "EpochRecord", "Observation", "read_history", "record_epoch"]

HISTORY = "history.json"


@dataclass(frozen=True, kw_only=True)
class Observation:
    """What the quantisers of tensors did at the end of an epoch.

    Parameters
    ----------
    clipped : by tensor, the part of its values beyond the levels.
    betas : by tensor with an adaptive step (ASQ): lowest, quartiles and highest beta of the images.
    dead : tensors whose adapter was 0 for all images.
    """

    clipped: dict[str, float] = field(default_factory=dict)
    betas: dict[str, list[float]] = field(default_factory=dict)
    dead: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class EpochRecord:
    """One epoch.

    Parameters
    ----------
    stage : value of the stage.
    epoch : counted from 1.
    loss, top1 : mean over the training images of the epoch while it ran; top1 in percent.
    blend : alpha-blending's alpha at its end; None without the estimator.
    deltas : EWGS's delta of each tensor, by the path of its estimator; empty without one.
    observation : of the quantisers of tensors; None in full precision.
    """

    stage: str
    epoch: int
    loss: float
    top1: float
    blend: float | None = None
    deltas: dict[str, float] = field(default_factory=dict)
    observation: Observation | None = None


def read_history(run: Path) -> list[EpochRecord]:
    """Return the epochs of a run in the order of training; none where there is no history."""
    path = run / HISTORY
    if not path.is_file():
        return []
    records = []
    for entry in json.loads(path.read_text(encoding="utf-8")):
        seen = entry.pop("observation", None)
        observation = None if seen is None else Observation(**seen)
        records.append(EpochRecord(**entry, observation=observation))
    return records


def record_epoch(run: Path, record: EpochRecord) -> None:
    """Append an epoch. One that is repeated after an interruption replaces what it left."""
    kept = []
    for each in read_history(run):
        if (each.stage, each.epoch) == (record.stage, record.epoch):
            break
        kept.append(each)
    write_json(run / HISTORY, [asdict(each) for each in (*kept, record)])
