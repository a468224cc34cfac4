# SPDX-License-Identifier: Apache-2.0
"""Addresses: where tensors lie, where the constants lie, and in which registers betas are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tritone.compiler.constants import Constants, plan_constants
from tritone.compiler.features import Features, place_features
from tritone.compiler.gather import Windows
from tritone.compiler.tile import TiledLayer
from tritone.spec.isa import BETA_REGISTERS
from tritone.spec.machine import MachineConfig

__all__ = ["Allocation", "allocate"]


@dataclass(frozen=True, kw_only=True)
class Allocation:
    """The addresses of a program.

    Parameters
    ----------
    features : of the tensors.
    constants : of weights and parameters.
    beta_registers : of the betas by the name of their tensor.
    """

    features: Features
    constants: Constants
    beta_registers: Mapping[str, int]


def _beta_registers(layers: Sequence[TiledLayer]) -> dict[str, int]:
    """Return a register for every beta, free again behind the last layer that reads with it."""
    last_read = {
        each.layer.gain.tensor: index for index, each in enumerate(layers) if each.layer.gain
    }
    registers: dict[str, int] = {}
    for index, each in enumerate(layers):
        if not each.layer.makes_beta:
            continue
        living = {registers[name] for name in registers if last_read[name] > index}
        free = [register for register in range(BETA_REGISTERS) if register not in living]
        if not free:
            raise ValueError(
                f"Layer {each.layer.name} must fit {BETA_REGISTERS} betas at once, "
                f"not {len(living) + 1}"
            )
        registers[each.layer.output.name] = free[0]
    return registers


def allocate(
    layers: Sequence[TiledLayer],
    machine: MachineConfig,
    images: int = 1,
    *,
    windows: Windows | None = None,
    spill: bool = False,
) -> Allocation:
    """Return the addresses of everything that ``layers`` keep in the memories of ``machine``.

    Parameters
    ----------
    layers : in the order of execution; the first one reads the image.
    machine : whose memories.
    images : places of the image, 1 or 2.
    windows : what LOAD makes of the image, if anything.
    spill : keep tensors outside that the chip has no room for; one place of the image at most.

    Raises
    ------
    ValueError : a memory is too small; the message names the layer that exceeds it, and the words
        that it needs.
    """
    constants = plan_constants(layers, machine)
    return Allocation(
        features=place_features(
            layers, constants.slices, windows, machine, images=images, spill=spill
        ),
        constants=constants,
        beta_registers=_beta_registers(layers),
    )
