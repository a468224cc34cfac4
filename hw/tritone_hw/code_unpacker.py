# SPDX-License-Identifier: Apache-2.0
"""From words of weight memory, packed or not, to the term codes of a step."""

from __future__ import annotations

from typing import ClassVar

from amaranth import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.data import ArrayLayout, StructLayout, View
from amaranth.lib.wiring import In, Out

from tritone.spec.fixed import NIBBLE_BITS
from tritone.spec.machine import MachineConfig
from tritone.spec.packing import Packing
from tritone_hw.layout import PLANE_TERMS
from tritone_hw.platform.target import form_for

__all__ = ["SELECTION", "CodeUnpacker"]

# What a step takes of a memory word: of the words in it the one with the lowest bits of ``word``;
# and what its codes stand for.
SELECTION = StructLayout(
    {"packing": 2, "word": max(Packing).words.bit_length() - 1, "terms": PLANE_TERMS}
)

# The bits that a word which is not packed has at the places of a code's.
_LOWER, _UPPER = 0b0001, 0b0100

# Columns that share a register of what is selected.
_BRANCH_COLUMNS = 4

# The same for each lane: of the lower and of the upper two bits of its nibble the second ones;
# whether its other bits pass as they are; what the bits that are taken change of the base.
_CHOICE = StructLayout({"second": 1, "whole": 1, "terms": PLANE_TERMS})


class CodeUnpacker(wiring.Component):
    """The term codes of one of the words of a walk that a memory word holds.

    Each nibble has the bits of its lane in all of them, so a lane looks at its own nibble alone. It
    takes one bit of the lower and one of the upper half; these, or one of them, are the code, whose
    bits change the base. A word that is not packed has the base 0, which two bits change into
    themselves; the other two are added.

    Timing: one word a cycle, no stalls; ``word`` comes the cycle behind ``selection``, as from a
    memory that was asked in that cycle. ``terms`` belong to the ``selection`` of ``LATENCY`` cycles
    ago.

    Parameters
    ----------
    machine : gives the width of a word.

    Attributes
    ----------
    LATENCY : cycles from ``selection`` to ``terms``.

    Members
    -------
    selection : In(SELECTION)
        What to take of the word.
    word : In(machine.weight_word_bits)
        A word of weight memory.
    terms : Out(ArrayLayout(4, R * C))
        A term code for each nibble.
    """

    LATENCY: ClassVar = 4

    def __init__(self, machine: MachineConfig) -> None:
        if not isinstance(machine, MachineConfig):
            raise TypeError(f"Machine must be a MachineConfig, not {machine!r}")
        self._machine = machine
        super().__init__(
            {
                "selection": In(SELECTION),
                "word": In(machine.weight_word_bits),
                "terms": Out(ArrayLayout(NIBBLE_BITS, machine.rows * machine.columns)),
            }
        )

    @property
    def machine(self) -> MachineConfig:
        """Shape of the machine."""
        return self._machine

    def _choose(self, m: Module) -> View:
        """Return what all lanes do."""
        selection = self.selection
        choice = Signal(_CHOICE)
        m.d.comb += choice.terms.eq(selection.terms)
        with m.Switch(selection.packing):
            with m.Case(Packing.BITS):
                # The bit of the other half is that of another word: it changes nothing.
                upper = selection.word[1]
                m.d.comb += [
                    choice.second.eq(selection.word[0]),
                    choice.terms.low.eq(Mux(upper, 0, selection.terms.low)),
                    choice.terms.high.eq(Mux(upper, selection.terms.low, 0)),
                ]
            with m.Case(Packing.PAIRS):
                m.d.comb += choice.second.eq(selection.word[0])
            with m.Default():
                m.d.comb += [
                    choice.whole.eq(1),
                    choice.terms.base.eq(0),
                    choice.terms.low.eq(_LOWER),
                    choice.terms.high.eq(_UPPER),
                ]
        return choice

    def elaborate(self, platform: object) -> Module:
        m = Module()
        form = form_for(platform)
        choice = self._choose(m).as_value()
        lanes = self._machine.rows * self._machine.columns
        width = self._machine.rows * _BRANCH_COLUMNS
        for first in range(0, lanes, width):
            copies = []
            for stage in range(3):
                choice_copy = form.copy(
                    m, copies[-1].as_value() if copies else choice, f"choice{stage}_{first}"
                )
                copies.append(View(_CHOICE, choice_copy))
            for lane in range(first, min(first + width, lanes)):
                self._unpack(m, lane, *copies)
        return m

    def _unpack(self, m: Module, lane: int, taken: View, met: View, last: View) -> None:
        """Unpack one lane; ``taken``, ``met`` and ``last`` say how, one cycle after the other."""
        nibble = self.word.word_select(lane, NIBBLE_BITS)
        low = Signal(name=f"low{lane}", reset_less=True)
        high = Signal(name=f"high{lane}", reset_less=True)
        rest = Signal(NIBBLE_BITS, name=f"rest{lane}", reset_less=True)
        m.d.sync += [
            low.eq(Mux(taken.second, nibble[1], nibble[0])),
            high.eq(Mux(taken.second, nibble[3], nibble[2])),
            rest.eq(Mux(taken.whole, nibble & ~(_LOWER | _UPPER), 0)),
        ]
        later = Signal(name=f"later{lane}", reset_less=True)
        partial = Signal(NIBBLE_BITS, name=f"partial{lane}", reset_less=True)
        m.d.sync += [
            later.eq(high),
            partial.eq(met.terms.base ^ rest ^ (met.terms.low & low.replicate(NIBBLE_BITS))),
        ]
        term = Signal(NIBBLE_BITS, name=f"term{lane}", reset_less=True)
        m.d.sync += term.eq(partial ^ (last.terms.high & later.replicate(NIBBLE_BITS)))
        m.d.comb += self.terms[lane].eq(term)
