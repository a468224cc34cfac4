# SPDX-License-Identifier: Apache-2.0
"""Integers as bits that let activations through, a sum for each place, joined behind the tree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from amaranth.hdl import Module, Value
from amaranth.lib.data import StructLayout

from tritone.spec.array_code import INTEGER_CODE
from tritone.spec.fixed import NIBBLE_BITS
from tritone_hw.adder_tree import Word, accumulate, add_shifted, add_tree
from tritone_hw.one_rail_unit import OneRailUnit
from tritone_hw.platform.portable import Operand, PortableForm
from tritone_hw.platform.target import form_for

__all__ = ["JOINTS", "PlaneUnit", "sum_planes"]

_MOST = (1 << NIBBLE_BITS) - 1
# Levels of adders of two that join the sums of the planes of four bits.
JOINTS = 2


def sum_planes(
    m: Module, form: PortableForm, words: Sequence[Word], levels: int, sign_plane: bool
) -> list[Word]:
    """Return what ``levels`` levels of adders and JOINTS more leave of words of bit planes.

    Parameters
    ----------
    words : a number for each plane, the lowest first; all lie in one carry chain.
    sign_plane : the highest plane is subtracted: added inverted, in the width of its sum.
    """
    (planes,) = add_tree(m, form, words, levels, single=True)
    operands = [
        replace(each, shift=place, most=each.most << place) for place, each in enumerate(planes)
    ]
    if sign_plane:
        highest = operands[-1]
        largest = (1 << len(highest.value)) - 1
        operands[-1] = replace(highest, inverted=True, most=largest << highest.shift)
    return [(each,) for each in add_shifted(m, form, operands, JOINTS, "joint")]


class PlaneUnit(OneRailUnit):
    """Weights in two's complement, as INTEGER_CODE.

    Their bits mask the activations in the first adders, which absorb that. The highest place counts
    -8 and is added inverted: 8 * (2**bits - 1) too much in each step, bits those of 15 * rows.
    """

    CONTROL = StructLayout({"planes": INTEGER_CODE.bits})

    @staticmethod
    def decode(weight: Value) -> dict[str, Value]:
        """Return the weight's bits."""
        return {"planes": weight}

    @property
    def latency(self) -> int:
        """Cycles from a step to the accumulator that holds it: levels, joints, accumulator."""
        return self._levels + JOINTS + 1

    def elaborate(self, platform: object) -> Module:
        m = Module()
        words = [
            tuple(Operand(activation, _MOST, plane) for plane in control.planes)
            for activation, control in zip(self.activations, self.controls, strict=True)
        ]
        form = form_for(platform)
        words = sum_planes(m, form, words, self._levels, sign_plane=True)
        accumulate(m, form, words, (self.even,), self.valid, self.clear, self.latency)
        return m
