# SPDX-License-Identifier: Apache-2.0
"""By how much estimates miss, block by block."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["block_errors", "percent"]


def percent(estimated: float, mapped: float) -> float:
    """Return how much more was estimated than mapped, in %."""
    return 100 * (estimated / mapped - 1)


def block_errors(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, float, float, str]]:
    """Return of each block the worst error in %, and in sites, with the machine that has it."""
    worst: dict[str, tuple[float, float, str]] = {}
    for row in rows:
        for name, (estimated, mapped) in row["blocks"].items():
            error = estimated - mapped
            share = percent(estimated, mapped) if mapped else 0.0
            if name not in worst or abs(share) > abs(worst[name][0]):
                worst[name] = share, error, row["machine"]
    return [(name, *figures) for name, figures in worst.items()]
