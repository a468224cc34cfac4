# SPDX-License-Identifier: Apache-2.0
"""Making torch repeat itself, and what is drawn at random depend on a seed alone."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["deterministic", "seeded", "tensor_seed"]


@contextmanager
def deterministic(threads: int) -> Iterator[None]:
    """Make torch give the same bits every time, inside this context only.

    Parameters
    ----------
    threads : of one operator; the order of float sums depends on it.
    """
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        torch.use_deterministic_algorithms(before[1])


def tensor_seed(name: str, seed: int = 0) -> int:
    """Return a seed of a tensor's or layer's own, 0 <= s < 2**63, whose low 16 bits are 0.

    The low bits can count calls. What is drawn depends neither on other tensors nor on torch's
    global generator.

    Parameters
    ----------
    seed : of the run.
    """
    spread = (seed * 0x9E3779B97F4A7C15 & 0x7FFFFFFFFFFF) << 16  # over all other bits
    return zlib.crc32(name.encode()) << 24 ^ spread


@contextmanager
def seeded(what: str, device: torch.device) -> Iterator[None]:
    """Make torch's own random numbers, such as dropout's, depend on ``what`` alone.

    Inside this context only; behind it they go on where they were.

    Parameters
    ----------
    device : where it computes.
    """
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(zlib.crc32(what.encode()))
        yield
