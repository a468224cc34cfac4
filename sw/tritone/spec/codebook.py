# SPDX-License-Identifier: Apache-2.0
"""Codebooks: sets of exact weight levels.

A level is ``(even + odd * sqrt 2) / unit`` with integers even and odd: the two rails of the array.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from tritone.spec.fixed import SQRT2
from tritone.spec.level import Level
from tritone.spec.machine import ArrayKind
from tritone.spec.pass_plan import MAX_PASSES, PassPlan, find_plan

__all__ = ["Codebook"]


@dataclass(frozen=True)
class Codebook:
    """A set of weight levels.

    Parameters
    ----------
    name : identifier.
    bits : width of a code.
    levels : ``levels[code]`` is the level of a code, None for a code that is not used.
    unit : the magnitude that means 1, so that a weight is ``alpha * level / unit``; the largest
        magnitude.
    """

    name: str
    bits: int
    levels: tuple[Level | None, ...]
    unit: int

    def __post_init__(self) -> None:
        if len(self.levels) != 1 << self.bits:
            raise ValueError(
                f"Codebook {self.name} must have 2**{self.bits} entries, not {len(self.levels)}"
            )

    @cached_property
    def codes(self) -> tuple[int, ...]:
        """One code, the lowest, for each distinct level, in the order of their values."""
        first: dict[Level, int] = {}
        for code, level in enumerate(self.levels):
            if level is not None:
                first.setdefault(level, code)
        return tuple(first[level] for level in sorted(first, key=lambda level: level.scaled))

    @cached_property
    def sorted_levels(self) -> tuple[Level, ...]:
        """The distinct levels in the order of their values; the codes are ``codes``."""
        return tuple(self.level(code) for code in self.codes)

    @property
    def has_zero(self) -> bool:
        """Whether zero is a level."""
        return Level(0) in self.sorted_levels

    @property
    def zero_code(self) -> int:
        """The code of zero."""
        if not self.has_zero:
            raise ValueError(f"Codebook {self.name} must have a zero level to be padded with")
        return next(code for code in self.codes if self.levels[code] == Level(0))

    def level(self, code: int) -> Level:
        """Return the level of ``code``."""
        level = self.levels[code] if 0 <= code < len(self.levels) else None
        if level is None:
            raise ValueError(f"Code must be one that codebook {self.name} uses, not {code}")
        return level

    def value(self, code: int) -> float:
        """Return the value of ``code`` for alpha = 1; sqrt 2 is 181/128."""
        level = self.level(code)
        return (level.even + level.odd * SQRT2) / self.unit

    @property
    def integer(self) -> bool:
        """Whether no level has a sqrt 2 in it: an array without the odd rail can have them all."""
        return not any(level.odd for level in self.sorted_levels)

    def runs(self, array: ArrayKind) -> bool:
        """Return whether an array of that kind can run it.

        It can be trained and exported either way.
        """
        return find_plan(array, self.levels) is not None

    def plan(self, array: ArrayKind) -> PassPlan:
        """Return the derived pass plan for an array of that kind.

        Raises
        ------
        ValueError : more than 4 passes would be needed, or a rail that the array does not have.
        """
        plan = find_plan(array, self.levels)
        if plan is not None:
            return plan
        if not self.integer and not array.odd_rail:
            raise ValueError(
                f"Codebook {self.name} must have no sqrt 2 in it for an array {array}; it has"
            )
        raise ValueError(
            f"Codebook {self.name} must need at most {MAX_PASSES} passes on an array {array}; "
            "it needs more"
        )
