# SPDX-License-Identifier: Apache-2.0
"""What dot-product units without an odd rail have in common."""

from __future__ import annotations

from amaranth.lib.data import ArrayLayout, StructLayout
from amaranth.lib.wiring import Component, In, Out

from tritone.spec.fixed import NIBBLE_BITS
from tritone.spec.machine import MachineConfig

__all__ = ["OneRailUnit"]


class OneRailUnit(Component):
    """Sum of weights times activations over rows and steps, modulo 2**even_bits.

    Subtraction is by inverted bits, so a sum has constants in it that depend on the weights and
    the number of steps alone: biases take them back. Each unit says which.

    Timing: one step a cycle, no stalls; a step is in the sum ``latency`` cycles after it is
    presented.

    Parameters
    ----------
    machine : its rows, and its ``even_bits`` as the width of the accumulator.

    Attributes
    ----------
    CONTROL : layout of what a weight is decoded to.

    Members
    -------
    valid, clear, activations, even : as those of DotProductUnit.
    controls : In(ArrayLayout(CONTROL, rows))
        The weights, decoded.
    """

    CONTROL: StructLayout

    def __init__(self, machine: MachineConfig) -> None:
        self._rows = machine.rows
        self._levels = machine.tree_levels
        super().__init__(
            {
                "valid": In(1),
                "clear": In(1),
                "activations": In(ArrayLayout(NIBBLE_BITS, machine.rows)),
                "controls": In(ArrayLayout(self.CONTROL, machine.rows)),
                "even": Out(machine.even_bits),
            }
        )
