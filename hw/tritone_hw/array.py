# SPDX-License-Identifier: Apache-2.0
"""The output-stationary array: P pixels times C columns of dot-product units over R rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from amaranth import Cat, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.data import ArrayLayout, StructLayout
from amaranth.lib.wiring import In, Out

from tritone.spec.fixed import NIBBLE_BITS
from tritone.spec.machine import ArrayKind, MachineConfig
from tritone_hw.dot_product_unit import DotProductUnit
from tritone_hw.plane_unit import PlaneUnit
from tritone_hw.platform.target import form_for
from tritone_hw.power_unit import PowerUnit

__all__ = ["Array", "Unit"]

# Columns that share a register of activations.
BRANCH_COLUMNS = 4


class Unit(Protocol):
    """A dot-product unit: members as DotProductUnit has them; others have no ``odd``."""

    CONTROL: StructLayout

    @staticmethod
    def decode(weight: Value) -> dict[str, Value]:
        """Return the fields of the control of a weight's 4 bits."""

    @property
    def latency(self) -> int:
        """Cycles from a step to the sums that hold it."""


def _machine_unit(machine: MachineConfig) -> Unit:
    match machine.array:
        case ArrayKind.POST:
            return DotProductUnit(machine.rows, machine.even_bits, machine.odd_bits)
        case ArrayKind.UNIFORM:
            return PlaneUnit(machine)
        case ArrayKind.POT:
            return PowerUnit(machine)


class Array(wiring.Component):
    """A dot-product unit for each column and pixel.

    Activations go to all columns, as a tree: a register for each pixel, then one for a few columns,
    so that the way from a register does not grow with the array. Weights go to all pixels.

    Timing: one step a cycle, no stalls; its weights come ``WEIGHTS_AFTER`` cycles behind it.
    ``drained`` is 1 ``latency`` cycles after a step with ``drain``, in exactly the cycle in which
    the sums up to and including that step stand at ``even`` and ``odd``.

    Parameters
    ----------
    machine : shape of the machine.
    unit : makes its dot-product units; None: those that the machine has.

    Attributes
    ----------
    WEIGHTS_AFTER : cycles from a step to its ``weights``.

    Members
    -------
    valid, clear, drain : In(1)
        There is a step; it starts new sums; its sums are complete.
    nibbles : In(ArrayLayout(ArrayLayout(4, R), P))
        Activation nibbles of each pixel.
    weights : In(ArrayLayout(4, R * C))
        Column c, row r at index ``c * R + r``.
    draining, drained : Out(1)
        Strobes; ``draining`` is a cycle earlier.
    even, odd : Out(ArrayLayout(ArrayLayout(even_bits, C), P)), likewise
        Raw, unsigned accumulators; without an odd rail they have no bits.
    """

    WEIGHTS_AFTER = 1

    def __init__(
        self, machine: MachineConfig, unit: Callable[[MachineConfig], Unit] | None = None
    ) -> None:
        if not isinstance(machine, MachineConfig):
            raise TypeError(f"Machine must be a MachineConfig, not {machine!r}")
        self._machine = machine
        rows, columns, pixels = machine.rows, machine.columns, machine.pixels
        make = _machine_unit if unit is None else unit
        self._units = [[make(machine) for _ in range(columns)] for _ in range(pixels)]
        super().__init__(
            {
                "valid": In(1),
                "clear": In(1),
                "drain": In(1),
                "nibbles": In(ArrayLayout(ArrayLayout(NIBBLE_BITS, rows), pixels)),
                "weights": In(ArrayLayout(NIBBLE_BITS, rows * columns)),
                "draining": Out(1),
                "drained": Out(1),
                "even": Out(ArrayLayout(ArrayLayout(machine.even_bits, columns), pixels)),
                "odd": Out(ArrayLayout(ArrayLayout(machine.odd_bits, columns), pixels)),
            }
        )

    @property
    def machine(self) -> MachineConfig:
        """Shape of the machine."""
        return self._machine

    @property
    def latency(self) -> int:
        """Cycles from a step to its ``drained``: two levels of the tree, dot product."""
        return 2 + self._units[0][0].latency

    def elaborate(self, platform: object) -> Module:
        m = Module()
        rows = self._machine.rows
        form = form_for(platform)

        valid = Signal(2)
        clear = Signal(2, reset_less=True)
        nibbles = Signal.like(self.nibbles, reset_less=True)
        m.d.sync += [
            valid.eq(Cat(self.valid, valid)),
            clear.eq(Cat(self.clear, clear)),
            nibbles.eq(self.nibbles),
        ]
        branches: list[Value] = []
        for column in range(self._machine.columns):
            if column % BRANCH_COLUMNS == 0:
                branches = [
                    form.copy(m, nibbles[pixel].as_value(), f"branch{pixel}_{column}")
                    for pixel in range(self._machine.pixels)
                ]
            # Decoded once for all pixels.
            unit = self._units[0][column]
            layout = ArrayLayout(unit.CONTROL, rows)
            controls = Signal(layout, name=f"controls{column}", reset_less=True)
            for row, control in enumerate(controls):
                decoded = unit.decode(self.weights[column * rows + row])
                m.d.sync += [control[name].eq(value) for name, value in decoded.items()]
            for pixel, units in enumerate(self._units):
                m.submodules[f"unit{pixel}_{column}"] = unit = units[column]
                m.d.comb += [
                    unit.valid.eq(valid[-1]),
                    unit.clear.eq(clear[-1]),
                    unit.activations.eq(branches[pixel]),
                    unit.controls.eq(controls),
                    self.even[pixel][column].eq(unit.even),
                ]
                if "odd" in unit.signature.members:
                    m.d.comb += self.odd[pixel][column].eq(unit.odd)

        drained = Signal(self.latency)
        m.d.sync += drained.eq(Cat(self.valid & self.drain, drained))
        m.d.comb += [self.draining.eq(drained[-2]), self.drained.eq(drained[-1])]
        return m
