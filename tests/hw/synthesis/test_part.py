# SPDX-License-Identifier: Apache-2.0
"""Cells of a part, mapped alone."""

from __future__ import annotations

from amaranth import Module
from amaranth.lib.wiring import Component, In, Out

from tritone_hw.synthesis.part import part_cells


class _Product(Component):
    """A registered product."""

    def __init__(self) -> None:
        super().__init__({"a": In(12), "b": In(12), "product": Out(24)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.sync += self.product.eq(self.a * self.b)
        return m


def test_a_product_takes_a_block_or_logic() -> None:
    """One multiplier block; without these only tables."""
    with_blocks, without = part_cells(_Product()), part_cells(_Product(), dsp=False)
    assert with_blocks["MULT18X18D"] == 1
    assert without["MULT18X18D"] == 0
    assert without["TRELLIS_FF"] == 24
    assert without["LUT4"] + without["CCU2C"] > 50
