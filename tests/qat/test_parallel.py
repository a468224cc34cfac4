# SPDX-License-Identifier: Apache-2.0
"""Training in several processes: what they compute together is what one computes."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from rich.console import Console
from torch import nn

from tritone.qat import train as training
from tritone.qat.activations import ActivationQuantizer
from tritone.qat.history import read_history
from tritone.qat.parallel import (
    SharedBatchNorm2d,
    add_up,
    gather,
    rank,
    separate_norms,
    share_norms,
    size,
)
from tritone.qat.recipe import Recipe, load_recipe, render_recipe

QUIET = Console(quiet=True)

# What each of two processes does with its half of a batch; the second half of the numbers are the
# gradients of the loss, which weighs each value of the output differently.
PROGRAM = """
import torch, sys
from tritone.qat.activations import ActivationQuantizer
from tritone.qat.parallel import SharedBatchNorm2d, add_up, gather, joined, rank, size
with joined(torch.device("cpu")):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(6, 3, 4, 4, generator=generator, dtype=torch.float64) * 3 + 1
    weights = torch.randn(x.shape, generator=generator, dtype=torch.float64)
    mine = x[rank()::size()].clone().requires_grad_()
    norm = SharedBatchNorm2d(3).double()
    (norm(mine) * weights[rank()::size()]).sum().backward()
    assert torch.equal(gather(x[rank()::2]), torch.cat([x[::2], x[1::2]]))
    assert add_up(rank() + 1.0, 10.0) == [3.0, 20.0]
    quantizer = ActivationQuantizer(4)
    part = mine.detach().float()
    quantizer(part).values(4).backward(weights[rank()::size()].float())
    torch.save([mine.grad, norm.weight.grad, norm.running_mean, norm.running_var,
                quantizer.grid_step.detach(), quantizer.grid_step.grad],
               f"{sys.argv[1]}/{rank()}.pt")
"""


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


def test_shared_batch_norm(tmp_path: Path) -> None:
    """Two halves have statistics and gradients of torch's batch norm of the whole batch.

    In float64; sums of 96 values in another order differ by less than 96 * 2**-53 relatively. The
    step of a quantiser, in float32, starts from the whole batch and has the gradient's scale of it.
    """
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    torchrun(str(path), str(tmp_path))
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(6, 3, 4, 4, generator=generator, dtype=torch.float64) * 3 + 1
    weights = torch.randn(x.shape, generator=generator, dtype=torch.float64)
    x.requires_grad_()
    norm = nn.BatchNorm2d(3).double()
    (norm(x) * weights).sum().backward()
    assert x.grad is not None
    parts = [torch.load(tmp_path / f"{each}.pt", weights_only=True) for each in range(2)]
    close = {"rtol": 1e-12, "atol": 1e-13}
    for each, part in enumerate(parts):
        assert torch.allclose(part[0], x.grad[each::2], **close)
        assert torch.allclose(part[2], norm.running_mean, **close)
        assert torch.allclose(part[3], norm.running_var, **close)
    assert torch.allclose(parts[0][1] + parts[1][1], norm.weight.grad, **close)
    quantizer = ActivationQuantizer(4)
    quantizer(x.detach().float()).values(4).backward(weights.float())
    assert quantizer.grid_step.grad is not None
    # 288 terms of size 1 and 288 * 2**-24 for their sums, scaled by 1/sqrt(288 * 15).
    bound = {"rtol": 0, "atol": 288 * 288 * 2**-24 / (288 * 15) ** 0.5}
    assert torch.allclose(parts[0][4], quantizer.grid_step, rtol=288 * 2**-24)
    assert torch.equal(parts[0][4], parts[1][4])
    assert torch.allclose(parts[0][5] + parts[1][5], quantizer.grid_step.grad, **bound)


def losses(run: Path) -> torch.Tensor:
    return torch.tensor([each.loss for each in read_history(run)])


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    """A few epochs of both stages, with a batch norm in the network and learnt steps."""
    quick = load_recipe("digits_quick")
    return replace(
        quick,
        pretrain=replace(quick.pretrain, epochs=2),
        finetune=replace(quick.finetune, epochs=2),
    )


def test_two_processes_have_the_losses_of_one(recipe: Recipe, tmp_path: Path) -> None:
    """The same curve, up to the rounding of float sums.

    What that does is measured: a run whose batch norms get tensors that do not lie channels last
    computes the same statistics with another kernel of torch. Two processes differ from one by
    nothing else either, so until any epoch their difference is of that size; ten times it is
    allowed. With statistics of each half the first epoch is off by hundreds of times.
    """
    path = tmp_path / "recipe.toml"
    path.write_text(render_recipe(recipe))
    training.train(recipe, tmp_path / "one", console=QUIET)
    with pytest.MonkeyPatch.context() as patch:
        forward = nn.BatchNorm2d.forward
        patch.setattr(nn.BatchNorm2d, "forward", lambda norm, x: forward(norm, x.contiguous()))
        training.train(recipe, tmp_path / "other", console=QUIET)
    torchrun("-m", "--", "tritone", "train", str(path), "--run", str(tmp_path / "two"))
    one = losses(tmp_path / "one")
    rounding = (losses(tmp_path / "other") - one).abs().cummax(0).values
    assert rounding[0] > 0
    assert rounding[-1] < 1e-2
    assert ((losses(tmp_path / "two") - one).abs() <= 10 * rounding).all()
    assert (tmp_path / "two" / "train.json").is_file()


def test_refuses_batches_without_equal_shares(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every process must have an image of every batch."""
    monkeypatch.setattr(training, "size", lambda: 3)
    message = r"^Batch must have equal shares for 3 processes, and the last one .*, not \d+ and"
    with pytest.raises(ValueError, match=message):
        training.train(recipe, tmp_path, console=QUIET)
