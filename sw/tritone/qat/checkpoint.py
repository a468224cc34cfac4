# SPDX-License-Identifier: Apache-2.0
"""Checkpoints: a training run that is killed at any moment goes on from the last whole one.

A checkpoint is a safetensors file (weights, optimiser, random state) and ``checkpoint.json``, which
names it. The tensors are written first, under a new name; the JSON then replaces the old one in one
step; only then the old tensors go.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor, nn

from tritone.spec.storage import write_atomically, write_json

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
        """Put the state into the objects of the same stage."""
        model.load_state_dict(self.model)
        state = optimizer.state_dict()
        state["state"] = {}
        for key, value in self.optimizer.items():
            index, name = key.split(".", 1)
            state["state"].setdefault(int(index), {})[name] = value
        optimizer.load_state_dict(state)
        generator.set_state(self.generator)


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
    ValueError : another format or version, or tensors that were damaged.
    """
    index = run / INDEX
    if not index.is_file():
        return None
    body = json.loads(index.read_text())
    if body.get("format") != FORMAT or body.get("version") != VERSION:
        raise ValueError(
            f"Checkpoint must be {FORMAT} version {VERSION}, "
            f"not {body.get('format')} {body.get('version')}"
        )
    data = (run / body["file"]).read_bytes()
    if hashlib.sha256(data).hexdigest() != body["sha256"]:
        raise ValueError(
            f"Checkpoint {run / body['file']} must have the SHA-256 in {INDEX}; "
            "it was changed or damaged: remove the run folder and train again"
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
    """Put the weights of the full-precision network of ``run`` into ``model``."""
    model.load_state_dict(safetensors.torch.load((run / BASELINE).read_bytes()))


def _section(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)
    }
