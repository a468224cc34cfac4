# SPDX-License-Identifier: Apache-2.0
"""Checkpoints: a training run that is killed at any moment goes on from the last whole one.

A checkpoint is a safetensors file (weights, optimiser, random state) and ``checkpoint.json``, which
names it. The tensors are written first, under a new name; the JSON then replaces the old one in one
step; only then the old tensors go.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from tritone.spec.storage import read_json, write_atomically, write_json

__all__ = [
    "Checkpoint",
    "Progress",
    "Stage",
    "load_baseline",
    "load_checkpoint",
    "save_baseline",
    "save_checkpoint",
]

FORMAT = "tritone.checkpoint"
VERSION = 1
INDEX = "checkpoint.json"
# The full-precision network that the fine-tuning began with.
BASELINE = "fp32.safetensors"

_DAMAGED = "it was changed or damaged: remove the run folder and train again"

# Of the index, what its values are.
_NUMBER = int | float
_KINDS: dict[str, Any] = {
    "file": str,
    "sha256": str,
    "epoch": int,
    "seconds": _NUMBER,
    "top1_fp32": _NUMBER | None,
}


class Stage(Enum):
    """What is trained."""

    PRETRAIN = "pretrain"
    FINETUNE = "finetune"
    EXACT = "exact"


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a run is.

    Parameters
    ----------
    stage, epoch : the stage and the number of its epochs that are done.
    seconds : of training, over all attempts.
    top1_fp32 : of the pretrained model in percent; None before it is finished.
    top1_finetuned : of the frozen model between fine-tuning and exact training; None before that.
    """

    stage: Stage
    epoch: int
    seconds: float
    top1_fp32: float | None
    top1_finetuned: float | None = None


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """The state of a run after an epoch."""

    progress: Progress
    model: dict[str, Tensor]
    optimizer: dict[str, Tensor]
    generator: Tensor

    def restore(
        self, model: nn.Module, optimizer: torch.optim.Optimizer, generator: torch.Generator
    ) -> None:
        """Put the state into the objects of the same stage.

        Raises
        ------
        ValueError : the model is another one.
        """
        self.restore_model(model)
        state = optimizer.state_dict()
        state["state"] = {}
        for key, value in self.optimizer.items():
            index, name = key.split(".", 1)
            state["state"].setdefault(int(index), {})[name] = value
        optimizer.load_state_dict(state)
        generator.set_state(self.generator)

    def restore_model(self, model: nn.Module) -> None:
        """Put the weights into the model of the same stage; ValueError if it is another one."""
        _load(model, self.model, "Checkpoint")


def save_checkpoint(
    run: Path,
    progress: Progress,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    generator: torch.Generator,
) -> None:
    """Write a checkpoint into ``run``, whole or not at all."""
    tensors = {f"model.{key}": value for key, value in model.state_dict().items()}
    for index, entries in optimizer.state_dict()["state"].items():
        for name, value in entries.items():
            tensors[f"optimizer.{index}.{name}"] = value
    tensors["generator"] = generator.get_state()
    # Quantisers that layers share are in it once for each of them; the format wants copies.
    data = safetensors.torch.save({key: _whole(value) for key, value in tensors.items()})
    name = f"checkpoint-{progress.stage.value}-{progress.epoch:04}.safetensors"
    write_atomically(run / name, data)
    write_json(
        run / INDEX,
        {
            "format": FORMAT,
            "version": VERSION,
            "file": name,
            "sha256": hashlib.sha256(data).hexdigest(),
            **asdict(progress),
            "stage": progress.stage.value,
        },
    )
    for old in run.glob("checkpoint-*.safetensors"):
        if old.name != name:
            old.unlink()


def _whole(value: Tensor) -> Tensor:
    return value.clone(memory_format=torch.contiguous_format)


def load_checkpoint(run: Path) -> Checkpoint | None:
    """Return the last checkpoint in ``run``, None where there is none.

    Raises
    ------
    ValueError : another format or version, or files that were damaged.
    FileNotFoundError : its tensors are missing.
    """
    index = run / INDEX
    if not index.is_file():
        return None
    body = read_json(index, "Checkpoint", dict)
    if body.get("format") != FORMAT or body.get("version") != VERSION:
        raise ValueError(
            f"Checkpoint {index} must be {FORMAT} version {VERSION}, "
            f"not {body.get('format')} {body.get('version')}"
        )
    for key, kind in _KINDS.items():
        if key not in body or not isinstance(body[key], kind):
            raise ValueError(
                f"Checkpoint {index} must have a {key}, not {body.get(key)!r}; {_DAMAGED}"
            )
    stages = [stage.value for stage in Stage]
    if body.get("stage") not in stages:
        raise ValueError(
            f"Checkpoint {index} must have a stage of {', '.join(stages)}, "
            f"not {body.get('stage')!r}; {_DAMAGED}"
        )
    data = (run / body["file"]).read_bytes()
    if hashlib.sha256(data).hexdigest() != body["sha256"]:
        raise ValueError(
            f"Checkpoint {run / body['file']} must have the SHA-256 in {INDEX}; {_DAMAGED}"
        )
    tensors = safetensors.torch.load(data)
    return Checkpoint(
        progress=Progress(
            stage=Stage(body["stage"]),
            epoch=body["epoch"],
            seconds=body["seconds"],
            top1_fp32=body["top1_fp32"],
            top1_finetuned=body.get("top1_finetuned"),
        ),
        model=_section(tensors, "model."),
        optimizer=_section(tensors, "optimizer."),
        generator=tensors["generator"],
    )


def save_baseline(run: Path, model: nn.Module) -> None:
    """Write the weights of the full-precision network into ``run``."""
    tensors = {key: value.contiguous() for key, value in model.state_dict().items()}
    write_atomically(run / BASELINE, safetensors.torch.save(tensors))


def load_baseline(run: Path, model: nn.Module) -> None:
    """Put the weights of the full-precision network of ``run`` into ``model``.

    Raises
    ------
    FileNotFoundError : there are none.
    ValueError : they are damaged, or of another model.
    """
    path = run / BASELINE
    try:
        weights = safetensors.torch.load(path.read_bytes())
    except SafetensorError as error:
        raise ValueError(f"Weights {path} must be whole: {error}; {_DAMAGED}") from error
    _load(model, weights, f"Weights {path}")


def _load(model: nn.Module, weights: dict[str, Tensor], what: str) -> None:
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise ValueError(
            f"{what} must be of the model of the recipe and its data set: {error}"
        ) from error


def _section(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)
    }
