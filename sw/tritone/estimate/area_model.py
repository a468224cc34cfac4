# SPDX-License-Identifier: Apache-2.0
"""The area of machines that nobody mapped: weighted sums, fitted to those that were."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from tritone.estimate.growth import GROWTH, Terms
from tritone.estimate.sweep_table import SweepRow, SweepTable, read_sweep
from tritone.spec.area import Area
from tritone.spec.device import Family
from tritone.spec.hard_blocks import hard_blocks
from tritone.spec.machine import MachineConfig

__all__ = ["AreaModel", "Estimate", "NotMapped", "area_model"]

# Cells by which a fit may miss before it counts as much as that share of a module: errors are
# weighed by their share, and those of tiny modules do not matter.
_FLOOR = 50.0

# Parameters that areas depend on as numbers.
_SWEPT = (
    "rows",
    "columns",
    "pixels",
    "requantizer_slots",
    "feature_words",
    "weight_words",
    "parameter_words",
    "instruction_words",
    "gather_width",
    "even_bits",
)


class NotMapped(ValueError):
    """The sweep has no machine that is like one in what it consists of."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What a machine is likely to take.

    Parameters
    ----------
    blocks : cells of each block, in the order of a synthesis' table.
    outside : the parameters that are beyond those of the sweep, with the least and the most that
        were mapped: there the estimate only goes on as it does within.
    """

    blocks: Mapping[str, Area]
    outside: Mapping[str, tuple[int, int]]

    @property
    def area(self) -> Area:
        """Cells of the machine."""
        return sum(self.blocks.values(), Area())


@dataclass(frozen=True)
class _Fit:
    """Weights of the terms of a module."""

    sites: Mapping[str, float]
    ff: Mapping[str, float]

    def area(self, terms: Terms) -> tuple[float, float]:
        """Return sites and flip-flops, none of them negative."""
        sums = (
            sum(value * weights[name] for name, value in terms.items() if value)
            for weights in (self.sites, self.ff)
        )
        sites, ff = (max(0.0, each) for each in sums)
        return sites, ff


def _weights(terms: Sequence[Terms], figures: Iterable[float]) -> dict[str, float]:
    """Return the weights that come nearest to ``figures``, by their share.

    Terms that are zero everywhere have none.
    """
    names = list(dict.fromkeys(name for each in terms for name, value in each.items() if value))
    matrix: npt.NDArray[np.float64] = np.array(
        [[each.get(name, 0.0) for name in names] for each in terms], dtype=np.float64
    )
    wanted = np.array(list(figures), dtype=np.float64)
    shares = 1.0 / (wanted + _FLOOR)
    weighed = matrix * shares[:, None]
    # Columns of one size: of weights that the machines do not tell apart the smallest are taken,
    # and that is to mean the smallest part of the figures.
    sizes = np.linalg.norm(weighed, axis=0)
    found, *_ = np.linalg.lstsq(weighed / sizes, wanted * shares, rcond=1e-6)
    return dict(zip(names, (found / sizes).tolist(), strict=True))


class AreaModel:
    """Estimates from a table of mapped machines.

    Parameters
    ----------
    table : its ``held_out`` machines are not looked at.
    """

    def __init__(self, table: SweepTable) -> None:
        self._blocks = table.blocks
        self._fits = {path: self._fit(path, table.fitted) for path in GROWTH}
        self._known = {path: fit.sites.keys() for path, fit in self._fits.items()}
        self._ranges = {
            name: (
                min(getattr(row.machine, name) for row in table.fitted),
                max(getattr(row.machine, name) for row in table.fitted),
            )
            for name in _SWEPT
        }

    @staticmethod
    def _fit(path: str, rows: Iterable[SweepRow]) -> _Fit:
        mapped = [row for row in rows if path in row.parts]
        terms = [GROWTH[path](row.machine) for row in mapped]
        return _Fit(
            sites=_weights(terms, (row.parts[path].sites for row in mapped)),
            ff=_weights(terms, (row.parts[path].ff for row in mapped)),
        )

    def module(self, path: str, machine: MachineConfig) -> Area | None:
        """Return what a module takes, by its path within the accelerator; None: it is not there.

        Raises
        ------
        NotMapped : the sweep has no machine with something that the module has.
        """
        terms = GROWTH[path](machine)
        if not terms:
            return None
        unknown = [name for name, value in terms.items() if value and name not in self._known[path]]
        if unknown:
            raise NotMapped(
                f"Machine {machine.name} must be of a kind that was mapped, for its {path} has "
                f"{unknown[0]!r}, which no machine of the sweep has"
            )
        sites, ff = self._fits[path].area(terms)
        bram, dsp = hard_blocks(machine).get(path, (0, 0))
        return Area(sites=round(sites), ff=round(ff), bram=bram, dsp=dsp)

    def estimate(self, machine: MachineConfig) -> Estimate:
        """Return what ``machine`` is likely to take of ECP5; the error is that of ``module``."""
        blocks: dict[str, Area] = {}
        for path, block in self._blocks.items():
            area = self.module(path, machine)
            if area is not None:
                blocks[block] = blocks.get(block, Area()) + area
        outside = {
            name: (low, high)
            for name, (low, high) in self._ranges.items()
            if not low <= getattr(machine, name) <= high
        }
        return Estimate(blocks=blocks, outside=outside)


@cache
def area_model(family: Family) -> AreaModel:
    """Return the model of a family, fitted to the table that comes with the package.

    Raises
    ------
    ValueError : there is no table of that family.
    """
    return AreaModel(read_sweep(family))
