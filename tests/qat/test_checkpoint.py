# SPDX-License-Identifier: Apache-2.0
"""Checkpoints."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from tritone.qat.checkpoint import (
    Progress,
    Stage,
    load_baseline,
    load_checkpoint,
    save_baseline,
    save_checkpoint,
)

State = tuple[nn.Module, torch.optim.Optimizer, torch.Generator]


def progress(epoch: int) -> Progress:
    return Progress(stage=Stage.FINETUNE, epoch=epoch, seconds=1.5, top1_fp32=97.5)


def state(rule: type, seed: int) -> State:
    """Return a model, its optimiser and a generator after ``seed`` steps."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    rest = {"momentum": 0.9} if rule is torch.optim.SGD else {}
    optimizer = rule(model.parameters(), lr=0.1, **rest)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(seed):
        step(model, optimizer, generator)
    return model, optimizer, generator


def step(model: nn.Module, optimizer: torch.optim.Optimizer, generator: torch.Generator) -> None:
    optimizer.zero_grad()
    model(torch.randn(5, 3, generator=generator)).pow(3).sum().backward()
    optimizer.step()


@pytest.mark.parametrize("rule", [torch.optim.SGD, torch.optim.AdamW])
def test_training_goes_on_the_same(rule: type, tmp_path: Path) -> None:
    """What is restored into other objects makes the same next steps, to the bit."""
    first = state(rule, 3)
    save_checkpoint(tmp_path, progress(3), *first)
    other = state(rule, 1)
    checkpoint = load_checkpoint(tmp_path)
    assert checkpoint is not None
    assert checkpoint.progress == progress(3)
    checkpoint.restore(*other)
    for _ in range(3):
        step(*first)
        step(*other)
    ours, theirs = first[0].state_dict(), other[0].state_dict()
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_shared_parameters(tmp_path: Path) -> None:
    """A module that has two places is in the file twice, and comes back."""
    shared = nn.Linear(2, 2)
    model = nn.Sequential(shared, nn.ReLU(), shared)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    save_checkpoint(tmp_path, progress(1), model, optimizer, torch.Generator())
    checkpoint = load_checkpoint(tmp_path)
    assert checkpoint is not None
    assert torch.equal(checkpoint.model["0.weight"], shared.weight)
    assert torch.equal(checkpoint.model["2.weight"], shared.weight)


def test_one_checkpoint_is_kept(tmp_path: Path) -> None:
    """The new one replaces the old one, and nothing else is left."""
    for epoch in (1, 2):
        save_checkpoint(tmp_path, progress(epoch), *state(torch.optim.SGD, 1))
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["checkpoint-finetune-0002.safetensors", "checkpoint.json"]


def test_killed_between_the_two_files(tmp_path: Path) -> None:
    """New tensors without their index are not looked at: the last whole checkpoint counts."""
    save_checkpoint(tmp_path, progress(1), *state(torch.optim.SGD, 1))
    (tmp_path / "checkpoint-finetune-0002.safetensors").write_bytes(b"half")
    checkpoint = load_checkpoint(tmp_path)
    assert checkpoint is not None
    assert checkpoint.progress.epoch == 1


def test_checkpoints_from_before_exact_training(tmp_path: Path) -> None:
    """Their index does not say what the network came to before it: nothing, then."""
    save_checkpoint(tmp_path, progress(1), *state(torch.optim.SGD, 1))
    index = tmp_path / "checkpoint.json"
    body = json.loads(index.read_text())
    assert body.pop("top1_finetuned") is None
    index.write_text(json.dumps(body))
    checkpoint = load_checkpoint(tmp_path)
    assert checkpoint is not None
    assert checkpoint.progress == progress(1)


def test_none_where_there_is_none(tmp_path: Path) -> None:
    """A new run has no checkpoint."""
    assert load_checkpoint(tmp_path) is None


def test_refuses_damage(tmp_path: Path) -> None:
    """A flipped bit of the tensors, or another version, is refused."""
    save_checkpoint(tmp_path, progress(1), *state(torch.optim.SGD, 1))
    path = tmp_path / "checkpoint-finetune-0001.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"^Checkpoint .* must have the SHA-256 in .*$"):
        load_checkpoint(tmp_path)
    index = tmp_path / "checkpoint.json"
    index.write_text(json.dumps({**json.loads(index.read_text()), "version": 99}))
    message = (
        r"^Checkpoint .*checkpoint\.json must be tritone\.checkpoint version 1, "
        r"not tritone\.checkpoint 99$"
    )
    with pytest.raises(ValueError, match=message):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"file": None}, r"must have a file, not None; it was changed or damaged: remove the run"),
        ({"epoch": "one"}, r"must have a epoch, not 'one'; it was"),
        (
            {"stage": "later"},
            r"must have a stage of pretrain, finetune, exact, not 'later'; it was",
        ),
    ],
)
def test_refuses_a_damaged_index(tmp_path: Path, change: dict, message: str) -> None:
    """What is missing or wrong is named, with the file and the remedy."""
    save_checkpoint(tmp_path, progress(1), *state(torch.optim.SGD, 1))
    index = tmp_path / "checkpoint.json"
    body = {**json.loads(index.read_text()), **change}
    index.write_text(json.dumps({key: value for key, value in body.items() if value is not None}))
    with pytest.raises(ValueError, match=rf"^Checkpoint .*checkpoint\.json {message}"):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"), [("[1]", r"must hold an object, not \[1\]"), ("{", "must be JSON, not")]
)
def test_refuses_an_index_that_is_none(tmp_path: Path, text: str, message: str) -> None:
    """A list, and half a file."""
    (tmp_path / "checkpoint.json").write_text(text)
    with pytest.raises(ValueError, match=rf"^Checkpoint .*checkpoint\.json {message}"):
        load_checkpoint(tmp_path)


def test_refuses_another_model(tmp_path: Path) -> None:
    """Of a checkpoint and of the full-precision weights: one sentence, not torch's list."""
    save_checkpoint(tmp_path, progress(1), *state(torch.optim.SGD, 1))
    checkpoint = load_checkpoint(tmp_path)
    assert checkpoint is not None
    other = nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5))
    message = r"^Checkpoint must be of the model of the recipe and its data set: .*size mismatch"
    with pytest.raises(ValueError, match=f"(?s){message}"):
        checkpoint.restore_model(other)
    save_baseline(tmp_path, nn.Linear(2, 2))
    message = r"^Weights .*fp32\.safetensors must be of the model of the recipe and its data set: "
    with pytest.raises(ValueError, match=message):
        load_baseline(tmp_path, other)
    (tmp_path / "fp32.safetensors").write_bytes(b"half")
    message = r"^Weights .*fp32\.safetensors must be whole: .*; it was changed or damaged: remove"
    with pytest.raises(ValueError, match=message):
        load_baseline(tmp_path, other)
