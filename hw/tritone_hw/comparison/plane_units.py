# SPDX-License-Identifier: Apache-2.0
"""Weights as bits that let activations through, a sum for each place, joined behind the tree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib.data import StructLayout

from tritone.spec.fixed import NIBBLE_BITS
from tritone_hw.adder_tree import Word, accumulate, add_shifted, add_tree
from tritone_hw.comparison.unit import ComparisonUnit
from tritone_hw.platform.portable import Operand, PortableForm
from tritone_hw.platform.target import form_for

__all__ = ["IntegerPlaneUnit", "MinifloatPlaneUnit"]

_PLANES = 4
_MOST = (1 << NIBBLE_BITS) - 1
# Levels of adders of two that join the planes.
_JOINTS = 2


class _PlaneUnit(ComparisonUnit):
    """The tree and the joints: all planes of two numbers lie in one carry chain."""

    def _sum_planes(
        self, m: Module, form: PortableForm, words: Sequence[Word], sign_plane: bool
    ) -> None:
        """Accumulate words with a number for each plane.

        Parameters
        ----------
        sign_plane : the highest plane is subtracted: added inverted, in the width of its sum.
        """
        (planes,) = add_tree(m, form, words, self._levels, single=True)
        operands = [
            replace(each, shift=place, most=each.most << place) for place, each in enumerate(planes)
        ]
        if sign_plane:
            highest = operands[-1]
            largest = (1 << len(highest.value)) - 1
            operands[-1] = replace(highest, inverted=True, most=largest << highest.shift)
        joined = add_shifted(m, form, operands, _JOINTS, "joint")
        words = [(each,) for each in joined]
        accumulate(m, form, words, (self.even,), self.valid, self.clear, self.latency)


class IntegerPlaneUnit(_PlaneUnit):
    """Weights in two's complement.

    Their bits mask the activations in the first adders, which absorb that. The highest place counts
    -8 and is added inverted: 8 * (2**bits - 1) too much in each step, bits those of 15 * rows.
    """

    CONTROL = StructLayout({"planes": _PLANES})

    @staticmethod
    def decode(weight: Value) -> dict[str, Value]:
        """Return the weight's bits."""
        return {"planes": weight}

    @property
    def latency(self) -> int:
        """Cycles from a step to the accumulator that holds it: levels, joints, accumulator."""
        return self._levels + _JOINTS + 1

    def elaborate(self, platform: object) -> Module:
        m = Module()
        words = [
            tuple(Operand(activation, _MOST, plane) for plane in control.planes)
            for activation, control in zip(self.activations, self.controls, strict=True)
        ]
        self._sum_planes(m, form_for(platform), words, sign_plane=True)
        return m


class MinifloatPlaneUnit(_PlaneUnit):
    """Weights in FP4 E2M1, in halves: code {sign, exponent[1:0], mantissa}.

    The bits of magnitudes 0, 1, 2, 3, 4, 6, 8, 12 are the planes, decoded once for all pixels.
    Where a weight is negative its activation is inverted: 15 * magnitude too much.
    """

    CONTROL = StructLayout({"planes": _PLANES, "sign": 1})

    @staticmethod
    def decode(weight: Value) -> dict[str, Value]:
        """Return the bits of the magnitude, and the sign."""
        mantissa, exponent, sign = weight[0], weight[1:3], weight[3]
        # The bit that a normal number's magnitude begins with, and the mantissa below it.
        leading = Cat(0, *(exponent == each for each in (1, 2, 3)))
        trailing = Cat(each & mantissa for each in (exponent < 2, exponent == 2, exponent == 3))
        return {"planes": leading | trailing, "sign": sign}

    @property
    def latency(self) -> int:
        """Cycles from a step to the accumulator that holds it.

        Inverted activations, levels, joints, accumulator.
        """
        return 1 + self._levels + _JOINTS + 1

    def elaborate(self, platform: object) -> Module:
        m = Module()
        words = []
        rows = zip(self.activations, self.controls, strict=True)
        for number, (activation, control) in enumerate(rows):
            term = Signal(NIBBLE_BITS, name=f"term{number}", reset_less=True)
            planes = Signal(_PLANES, name=f"planes{number}", reset_less=True)
            m.d.sync += [
                term.eq(activation ^ control.sign.replicate(NIBBLE_BITS)),
                planes.eq(control.planes),
            ]
            words.append(tuple(Operand(term, _MOST, plane) for plane in planes))
        self._sum_planes(m, form_for(platform), words, sign_plane=False)
        return m
