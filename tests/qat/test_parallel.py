# SPDX-License-Identifier: Apache-2.0
"""Training in several processes: what they compute together is what one computes."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path
from unittest.mock import patch

import one_step
import pytest
import safetensors.torch
import shares
import torch
from one_step import RATE, Small, exact_step, few_images, take, write_images
from rich.console import Console
from torch import nn

from tritone.qat import train as training
from tritone.qat.activations import ActivationQuantizer
from tritone.qat.history import read_history
from tritone.qat.models.catalog import MODELS
from tritone.qat.parallel import (
    SharedBatchNorm2d,
    add_up,
    gather,
    rank,
    separate_norms,
    share_norms,
    size,
)
from tritone.qat.recipe import load_recipe

QUIET = Console(quiet=True)


def torchrun(*arguments: str) -> None:
    """Run a program as two processes."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    made = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=300)
    assert made.returncode == 0, made.stderr


def test_one_process_is_alone() -> None:
    """Without torchrun there is nothing to share."""
    assert (size(), rank()) == (1, 0)
    assert add_up(1.0, 2.0) == [1.0, 2.0]
    x = torch.ones(2)
    assert gather(x) is x
    model = nn.Sequential(nn.BatchNorm2d(2), nn.ReLU())
    share_norms(model)
    assert isinstance(model[0], SharedBatchNorm2d)
    x = torch.randn(3, 2, 4, 4)
    assert torch.equal(model[0](x), nn.BatchNorm2d(2)(x))
    separate_norms(model)
    assert type(model[0]) is nn.BatchNorm2d


def test_what_is_of_the_whole_batch(tmp_path: Path) -> None:
    """Two parts have statistics and gradients of torch's batch norm of the whole batch.

    In float64; sums of 112 values in another order differ by less than 112 * 2**-53 relatively. The
    step of a quantiser, in float32, starts from the whole batch and has the gradient's scale of it.
    Noise of weights is that of one process, noise of images each one's own.
    """
    torchrun(shares.__file__, str(tmp_path))
    x, weights = shares.batch()
    x.requires_grad_()
    norm = nn.BatchNorm2d(3).double()
    (norm(x) * weights).sum().backward()
    assert x.grad is not None
    parts = [torch.load(tmp_path / f"{each}.pt", weights_only=True) for each in range(2)]
    close = {"rtol": 1e-12, "atol": 1e-13}
    statistics = shares.measured(nn.BatchNorm2d(3))
    for each, part in enumerate(parts):
        assert torch.allclose(part[0], x.grad[each::2], **close)
        assert torch.allclose(part[2], norm.running_mean, **close)
        assert torch.allclose(part[3], norm.running_var, **close)
        for name, value in statistics.items():
            assert torch.allclose(part[6][name], value, **close), name
    assert torch.allclose(parts[0][1] + parts[1][1], norm.weight.grad, **close)
    quantizer = ActivationQuantizer(4)
    quantizer(x.detach().float()).values(4).backward(weights.float())
    assert quantizer.grid_step.grad is not None
    # 336 terms of size 1 and 336 * 2**-24 for their sums, scaled by 1/sqrt(336 * 15).
    bound = {"rtol": 0, "atol": 336 * 336 * 2**-24 / (336 * 15) ** 0.5}
    assert torch.allclose(parts[0][4], quantizer.grid_step, rtol=336 * 2**-24)
    assert torch.equal(parts[0][4], parts[1][4])
    assert torch.allclose(parts[0][5] + parts[1][5], quantizer.grid_step.grad, **bound)
    (weight, own), (same, other) = (part[7] for part in parts)
    assert all(map(torch.equal, shares.noises(), (weight, own)))
    assert torch.equal(same, weight)
    assert not torch.equal(other, own)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A step in full precision and a quantised one, in one process and in two."""
    folder = tmp_path_factory.mktemp("steps")
    write_images(folder)
    take(folder, folder / "one")
    torchrun(one_step.__file__, str(folder), str(folder / "two"))
    return [folder / "one", folder / "two"]


@pytest.mark.parametrize("processes", [1, 2])
def test_one_step(processes: int, runs: list[Path], tmp_path: Path) -> None:
    """Loss and gradient of a training step are the exact ones, within the bound of float32.

    So two processes, which have 4 and 3 of its 7 images, differ from one by twice that at most.
    ``exact_step`` derives the bound: it is below 1e-5, where gradients are about a tenth.
    """
    dataset = write_images(tmp_path)
    run = runs[processes - 1]
    with patch.dict(MODELS, small=Small):
        model = training.initial_model(few_images(), dataset)
    assert isinstance(model, Small)
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    after = safetensors.torch.load_file(run / "fp32.safetensors")
    (loss, bound), *gradients = exact_step(
        model, torch.from_numpy(dataset.train_images), torch.from_numpy(dataset.train_labels)
    )
    assert abs(read_history(run)[0].loss - loss) <= bound < 1e-5
    for (name, value), (gradient, off) in zip(before.items(), gradients, strict=True):
        found = (value.double() - after[name].double()) / RATE
        # The optimiser rounds 1.9 * gradient, its product with the rate 1, and the difference.
        rounding = 2**-24 * (value.abs() + 6 * gradient.abs())
        assert ((found - gradient).abs() <= off + rounding).all(), name
        assert off.max() < 1e-5
        assert gradient.abs().max() > 0.05


def test_a_quantised_step(runs: list[Path]) -> None:
    """The step of the activations moves alike in one and in two processes.

    Float sums in another order may move codes, so the gradients need not be equal. But with the
    count of a process's own images they would differ by the factor sqrt(7/4) or more: they are
    nearer to equal than to that, on a scale of factors.
    """
    moved = []
    for run in runs:
        kept = safetensors.torch.load_file(run / "checkpoint-finetune-0001.safetensors")
        # Nothing else that learns is one number.
        (gradient,) = (
            value for name, value in kept.items() if "momentum" in name and value.ndim == 0
        )
        moved.append(float(gradient))
        assert (run / "train.json").is_file()
    assert moved[0] != 0
    assert abs(math.log(moved[1] / moved[0])) < math.log((7 / 4) ** 0.5) / 2


def test_refuses_batches_without_equal_shares(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every process must have an image of every batch."""
    monkeypatch.setattr(training, "size", lambda: 3)
    message = r"^Batch must have equal shares for 3 processes, and the last one .*, not \d+ and"
    with pytest.raises(ValueError, match=message):
        training.train(load_recipe("digits_quick"), tmp_path, console=QUIET)
