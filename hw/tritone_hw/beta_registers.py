# SPDX-License-Identifier: Apache-2.0
"""The betas of an image and their reciprocals, between the layers that make and read them."""

from __future__ import annotations

from amaranth import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.data import StructLayout
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from tritone.spec.fixed import BETA, GAIN
from tritone.spec.isa import BETA_REGISTERS, LAYER, Adaptation
from tritone_hw.layout import record_layout
from tritone_hw.reciprocal import Reciprocal

__all__ = ["BetaRegisters"]

_ENTRY = StructLayout({"beta": BETA.bits, "gain": GAIN.bits})


class BetaRegisters(wiring.Component):
    """Registers of beta and G, and what the present layer takes from them.

    Where its step is fixed, both factors are one.

    Timing: ``kept`` is 1 ``KEEP`` cycles after ``keep``; a layer that is accepted in the cycle
    after ``kept`` reads the new values. ``gain`` and ``scale`` stand one cycle after ``layer``.

    Attributes
    ----------
    KEEP : cycles from ``keep`` to ``kept``.

    Members
    -------
    layer : In(record_layout(LAYER))
        The present layer.
    keep : In(1)
        Strobe: the layer has made a beta.
    beta : In(12)
        It, U2.10; sampled with ``keep``.
    kept : Out(1)
        Strobe: beta and G are in the layer's register.
    gain : Out(10)
        What activations are multiplied by, U2.8.
    scale : Out(12)
        What M is multiplied by, U2.10.
    """

    KEEP = Reciprocal.CYCLES

    def __init__(self) -> None:
        super().__init__(
            {
                "layer": In(record_layout(LAYER)),
                "keep": In(1),
                "beta": In(BETA.bits),
                "kept": Out(1),
                "gain": Out(GAIN.bits),
                "scale": Out(BETA.bits),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        layer = self.layer
        m.submodules.reciprocal = reciprocal = Reciprocal()
        m.submodules.registers = registers = Memory(shape=_ENTRY, depth=BETA_REGISTERS, init=[])
        read_port, write_port = registers.read_port(), registers.write_port()

        kept_beta = Signal(BETA.bits, reset_less=True)
        with m.If(self.keep):
            m.d.sync += kept_beta.eq(self.beta)
        m.d.comb += [
            reciprocal.start.eq(self.keep),
            reciprocal.beta.eq(self.beta),
            self.kept.eq(reciprocal.done),
            write_port.en.eq(reciprocal.done),
            write_port.addr.eq(layer.beta_register),
            write_port.data.beta.eq(kept_beta),
            write_port.data.gain.eq(reciprocal.gain),
            read_port.addr.eq(layer.beta_register),
        ]

        adapted = layer.adaptation == Adaptation.ADAPTED
        reads = adapted | (layer.adaptation == Adaptation.STEP)
        m.d.comb += [
            self.gain.eq(Mux(reads, read_port.data.gain, 1 << GAIN.frac)),
            self.scale.eq(Mux(adapted, read_port.data.beta, 1 << BETA.frac)),
        ]
        return m
