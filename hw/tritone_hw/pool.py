# SPDX-License-Identifier: Apache-2.0
"""Maximum or sum over a pooling window, handed to the requantiser as even sums."""

from __future__ import annotations

from amaranth import Array as Choice
from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import In, Out

from tritone.spec.fixed import STREAM
from tritone.spec.isa import PoolMode
from tritone.spec.machine import MachineConfig

__all__ = ["Pool"]


class Pool(wiring.Component):
    """Maximum or sum of C channels of P pixels over steps.

    Timing: one step a cycle, no stalls. ``drained`` is 1 ``latency`` cycles after a step with
    ``drain``, in exactly the cycle in which the results up to and including that step stand at
    ``sums``.

    Parameters
    ----------
    machine : shape of the machine.

    Attributes
    ----------
    latency : cycles from a step to its ``drained``: selection, accumulator.

    Members
    -------
    valid, clear, drain : In(1)
        There is a step; it is the first of a window; the last.
    mode : In(PoolMode)
        What the step computes.
    column_group : In(range(R // C)), one bit at least
        Which C of the R channels the step takes: ``C * column_group`` and those that follow.
    activations : In(ArrayLayout(ArrayLayout(8, R), P))
        Unsigned codes.
    draining, drained : Out(1)
        Strobes; ``draining`` is a cycle earlier.
    sums : Out(ArrayLayout(ArrayLayout(even_bits, C), P))
        Maxima or sums, unsigned; a sum wraps.
    """

    latency = 2

    def __init__(self, machine: MachineConfig) -> None:
        if not isinstance(machine, MachineConfig):
            raise TypeError(f"Machine must be a MachineConfig, not {machine!r}")
        self._machine = machine
        rows, columns, pixels = machine.rows, machine.columns, machine.pixels
        super().__init__(
            {
                "valid": In(1),
                "clear": In(1),
                "drain": In(1),
                "mode": In(PoolMode),
                # Verilog has no empty vectors.
                "column_group": In(range(max(machine.word_columns, 2))),
                "activations": In(ArrayLayout(ArrayLayout(STREAM.bits, rows), pixels)),
                "draining": Out(1),
                "drained": Out(1),
                "sums": Out(ArrayLayout(ArrayLayout(machine.even_bits, columns), pixels)),
            }
        )

    @property
    def machine(self) -> MachineConfig:
        """Shape of the machine."""
        return self._machine

    def elaborate(self, platform: object) -> Module:
        m = Module()
        columns, pixels = self._machine.columns, self._machine.pixels

        valid, drain = Signal(), Signal()
        clear = Signal(reset_less=True)
        mode = Signal(PoolMode, reset_less=True)
        selected = Signal(ArrayLayout(ArrayLayout(STREAM.bits, columns), pixels), reset_less=True)
        m.d.sync += [
            valid.eq(self.valid),
            drain.eq(self.valid & self.drain),
            clear.eq(self.clear),
            mode.eq(self.mode),
        ]
        with m.If(self.valid):
            for pixel in range(pixels):
                groups = [
                    Cat(self.activations[pixel][first + column] for column in range(columns))
                    for first in range(0, self._machine.rows, columns)
                ]
                chosen = Choice(groups)[self.column_group] if len(groups) > 1 else groups[0]
                m.d.sync += selected[pixel].eq(chosen)

        m.d.comb += self.draining.eq(drain)
        m.d.sync += self.drained.eq(drain)
        summing = mode == PoolMode.SUM
        with m.If(valid):
            for codes, sums in zip(selected, self.sums, strict=True):
                for code, total in zip(codes, sums, strict=True):
                    more = Mux(summing, total + code, Mux(code > total[: STREAM.bits], code, total))
                    m.d.sync += total.eq(Mux(clear, code, more))
        return m
