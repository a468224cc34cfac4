# SPDX-License-Identifier: Apache-2.0
"""Places in feature memory."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tritone.compiler.tile import Region

__all__ = ["Place", "first_fit"]


@dataclass(frozen=True)
class Place:
    """Where a tensor lies: feature memory group, first word, and its region."""

    group: int
    base: int
    region: Region

    @property
    def end(self) -> int:
        """The first word behind it."""
        return self.base + self.region.words


def first_fit(needed: int, taken: Iterable[Place]) -> int:
    """Return the lowest base at which ``needed`` words lie beside the ``taken`` regions."""
    base = 0
    for place in sorted(taken, key=lambda place: place.base):
        if base + needed <= place.base:
            break
        base = max(base, place.end)
    return base
