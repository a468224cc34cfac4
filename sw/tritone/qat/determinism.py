# SPDX-License-Identifier: Apache-2.0
"""Making torch repeat itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["deterministic"]


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
