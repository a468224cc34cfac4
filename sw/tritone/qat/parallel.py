# SPDX-License-Identifier: Apache-2.0
"""One training in several processes: each takes its share of every batch.

torchrun starts the processes and torch's DistributedDataParallel averages the gradients. What else
depends on the whole batch is made of all shares here: the statistics of batch norm, the first batch
that sets a quantiser's step, the count in LSQ's scale of a step's gradient. So a step differs from
that of one process with the same batch by the order of float sums alone, but for the noise of
activations with the estimator noise: each process draws its own.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

__all__ = [
    "SharedBatchNorm2d",
    "add_up",
    "gather",
    "joined",
    "local_device",
    "rank",
    "separate_norms",
    "share_norms",
    "size",
    "wrap",
]


@contextmanager
def joined(device: torch.device) -> Iterator[None]:
    """Be one of torchrun's processes inside this context; without torchrun nothing happens."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield
        return
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield
    finally:
        # DistributedDataParallel lies in reference cycles. A group that one of them holds when the
        # process ends has threads that nobody joined, which aborts it.
        gc.collect()
        dist.destroy_process_group()


def local_device(device: torch.device) -> torch.device:
    """Return the accelerator that this process has for itself, or the processor."""
    if device.type != "cuda":
        return device
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))


def size() -> int:
    """Return the number of processes."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """Return which one this is; 0 is the one that writes files and shows progress."""
    return int(os.environ.get("RANK", "0"))


def add_up(*values: float) -> list[float]:
    """Return the sums of the processes' values."""
    if size() == 1:
        return list(values)
    sums = torch.tensor(values, dtype=torch.float64)
    if dist.get_backend() == "nccl":
        sums = sums.cuda()
    dist.all_reduce(sums)
    return [float(each) for each in sums]


def wrap(model: nn.Module, *, unused: bool) -> nn.Module:
    """Return what is called in the place of ``model`` so that gradients are averaged.

    Parameters
    ----------
    unused : some parameters may get no gradient.
    """
    if size() == 1:
        return model
    share_norms(model)
    return DistributedDataParallel(model, find_unused_parameters=unused)


def gather(x: Tensor) -> Tensor:
    """Return the shares of all processes, without a gradient, one behind the other."""
    if size() == 1:
        return x
    own = torch.tensor([len(x)], device=x.device)
    lengths = [torch.empty_like(own) for _ in range(size())]
    dist.all_gather(lengths, own)
    # What is gathered has one size.
    filled = x.new_zeros(max(int(each) for each in lengths), *x.shape[1:])
    filled[: len(x)] = x.detach()
    shares = [torch.empty_like(filled) for _ in range(size())]
    dist.all_gather(shares, filled)
    return torch.cat([share[:length] for share, length in zip(shares, lengths, strict=True)])


class _Sum(torch.autograd.Function):
    """Sum of the processes' tensors; each one's gradient is the sum of theirs."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        total: Tensor = _Sum.apply(gradient.contiguous())
        return total


class SharedBatchNorm2d(nn.BatchNorm2d):
    """Batch norm whose statistics are those of the images of all processes.

    torch.nn.SyncBatchNorm is the same for accelerators only.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Return the normalised values, and update the running statistics in training."""
        if not self.training or size() == 1:
            return super().forward(input)
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        channels = input.shape[1]
        exact = torch.float64  # as torch adds up on a processor
        local = torch.full((1,), input.numel() / channels, dtype=exact, device=input.device)
        parts = torch.cat([input.sum((0, 2, 3), dtype=exact), local])
        total: Tensor = _Sum.apply(parts)
        count = total[-1].detach()
        mean = total[:-1] / count
        centred = input - mean.to(input.dtype).view(1, -1, 1, 1)
        spread: Tensor = _Sum.apply((centred * centred).sum((0, 2, 3), dtype=exact))
        variance = spread / count
        with torch.no_grad():
            self.num_batches_tracked += 1
            momentum = self.momentum
            if momentum is None:  # a cumulative average
                momentum = 1 / float(self.num_batches_tracked)
            unbiased = variance * (count / (count - 1))
            self.running_mean.lerp_(mean.to(self.running_mean.dtype), momentum)
            self.running_var.lerp_(unbiased.to(self.running_var.dtype), momentum)
        slope = self.weight * torch.rsqrt(variance + self.eps).to(input.dtype)
        return centred * slope.view(1, -1, 1, 1) + self.bias.view(1, -1, 1, 1)


def share_norms(model: nn.Module) -> None:
    """Make every batch norm of ``model`` one of all processes."""
    for module in model.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = SharedBatchNorm2d


def separate_norms(model: nn.Module) -> None:
    """Make them ordinary ones again, which torch.fx knows."""
    for module in model.modules():
        if type(module) is SharedBatchNorm2d:
            module.__class__ = nn.BatchNorm2d  # type: ignore[assignment]  # of which it is a kind
