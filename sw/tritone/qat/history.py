# SPDX-License-Identifier: Apache-2.0
"""How a training went: of a run folder ``history.json``, epoch by epoch, and ``train.json``."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tritone.spec.storage import read_json, write_json

__all__ = [
    "HISTORY",
    "CodeUse",
    "EpochRecord",
    "Observation",
    "read_history",
    "read_report",
    "record_epoch",
]

HISTORY = "history.json"


@dataclass(frozen=True, kw_only=True)
class CodeUse:
    """How often a layer uses each weight code of a codebook, in the order of the codes."""

    codebook: str
    times: list[int]


@dataclass(frozen=True, kw_only=True)
class Observation:
    """What the quantisers did at the end of an epoch.

    Parameters
    ----------
    clipped : by tensor, the part of its values beyond the levels.
    betas : by tensor with an adaptive step (ASQ): lowest, quartiles and highest beta of the images.
    dead : tensors whose adapter was 0 for all images.
    constant : those whose adapter's hidden layer was, but not the adapter.
    weights : by layer, what its weights are rounded to.
    """

    clipped: dict[str, float] = field(default_factory=dict)
    betas: dict[str, list[float]] = field(default_factory=dict)
    dead: list[str] = field(default_factory=list)
    constant: list[str] = field(default_factory=list)
    weights: dict[str, CodeUse] = field(default_factory=dict)

    @property
    def warnings(self) -> list[str]:
        """What a person should know of it, a line each."""
        dead = [
            f"the adapter of {tensor} is dead: beta is {self.betas[tensor][0]:g} for every image "
            "and learns nothing more; a lower learning rate may help"
            for tensor in self.dead
        ]
        constant = [
            f"the adapter of {tensor} is constant: its hidden layer is 0 and beta is "
            f"{self.betas[tensor][0]:g} for every image; a lower learning rate may help"
            for tensor in self.constant
        ]
        return dead + constant


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
    """Return the epochs of a run in the order of training; none where there is no history.

    Raises
    ------
    ValueError : a damaged file.
    """
    path = run / HISTORY
    if not path.is_file():
        return []
    records = []
    for entry in read_json(path, "History", list):
        try:
            seen = entry.pop("observation", None)
            observation = None if seen is None else _observation(seen)
            records.append(EpochRecord(**entry, observation=observation))
        except (AttributeError, TypeError) as error:
            raise ValueError(f"History {path} must hold epochs, not {entry!r}") from error
    return records


def _observation(seen: dict[str, Any]) -> Observation:
    """Return what ``asdict`` has made a dictionary of."""
    weights = {layer: CodeUse(**use) for layer, use in seen.pop("weights", {}).items()}
    return Observation(**seen, weights=weights)


def record_epoch(run: Path, record: EpochRecord) -> None:
    """Append an epoch. One that is repeated after an interruption replaces what it left."""
    kept = []
    for each in read_history(run):
        if (each.stage, each.epoch) == (record.stage, record.epoch):
            break
        kept.append(each)
    write_json(run / HISTORY, [asdict(each) for each in (*kept, record)])


def read_report(path: Path) -> dict[str, Any]:
    """Return what is in a train.json, the end of a training.

    Raises
    ------
    ValueError : it is damaged, or empty.
    """
    report = read_json(path, "Report", dict)
    if "top1_frozen" not in report:
        raise ValueError(
            f"Report {path} must have top1_frozen; it was changed or damaged: remove it, and the "
            "training goes on from its checkpoint"
        )
    return report
