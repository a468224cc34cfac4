# SPDX-License-Identifier: Apache-2.0
"""The arithmetic of one output: drains, scale, shortcut, offset, rounding shift and clamp."""

from __future__ import annotations

from amaranth import C, Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tritone.spec.fixed import (
    LOGIT,
    MULTIPLIER,
    NIBBLE_BITS,
    OFFSET,
    SQRT2_FRACTION,
    SQRT2_NUMERATOR,
    STREAM,
    SUM,
    VALUE,
)
from tritone.spec.isa import LAYER, PASS_STEP
from tritone_hw.layout import record_layout

__all__ = ["RequantizerLane"]

_SHIFT = record_layout(LAYER)["shift"].shape
_DRAIN_SHIFT = record_layout(PASS_STEP)["shift"].shape
_LIMIT = signed(LOGIT.bits)
_SHORTCUT_SHIFT = record_layout(LAYER)["shortcut_shift"].shape

# DSP blocks of ECP5 and 7 series multiply 18 by 18 bits: the product is built from two such.
_LOW_BITS = 18


class RequantizerLane(wiring.Component):
    """The formula ``clamp((v * M + ((Q * K) << t) + D) >> S)``.

    In it ``v = start + ((128 E + 181 O) << drain_shift)``.

    Timing: one output a cycle, no stalls. Inputs of an output are presented in different cycles,
    counted from that of ``even`` and ``odd``: the class constants say in which. Limits, shifts and
    K do not change under way.

    Parameters
    ----------
    even_bits, odd_bits : widths of the accumulators.

    Attributes
    ----------
    start_at : cycle in which ``start`` is presented; ``drain_shift`` is one earlier.
    shortcut_at : cycle in which ``shortcut`` is presented.
    value_at : cycle in which ``value`` is read and ``multiplier`` presented.
    offset_at : cycle in which ``offset`` is presented.
    latency : cycle in which ``result`` is read.

    Members
    -------
    even, odd : In(even_bits), In(odd_bits)
        Raw accumulators.
    drain_shift : In(2)
        Shift of the accumulators in units of 4.
    start : In(36)
        What the value starts from: B, or the sum of earlier drains.
    multiplier, offset : In(signed(16)), In(signed(48))
        M, D.
    shortcut : In(signed(9))
        Q, the shortcut's code less its zero.
    shortcut_multiplier, shortcut_shift : In(signed(16)), In(5)
        K, t.
    shift, low, high : In(6), In(signed(16)), In(signed(16))
        S and the clamp.
    value : Out(36)
        ``start`` plus the accumulators, modulo 2**36.
    result : Out(signed(16))
        The code.
    """

    shortcut_at = 3
    start_at = 4
    value_at = 5
    offset_at = 6
    latency = 11

    def __init__(self, even_bits: int, odd_bits: int) -> None:
        super().__init__(
            {
                "even": In(even_bits),
                "odd": In(odd_bits),
                "drain_shift": In(_DRAIN_SHIFT),
                "start": In(VALUE.bits),
                "multiplier": In(signed(MULTIPLIER.bits)),
                "offset": In(signed(OFFSET.bits)),
                "shortcut": In(signed(STREAM.bits + 1)),
                "shortcut_multiplier": In(signed(MULTIPLIER.bits)),
                "shortcut_shift": In(_SHORTCUT_SHIFT),
                "shift": In(_SHIFT),
                "low": In(_LIMIT),
                "high": In(_LIMIT),
                "value": Out(VALUE.bits),
                "result": Out(_LIMIT),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()

        def register(value: Value, name: str) -> Signal:
            signal = Signal(value.shape(), name=name, reset_less=True)
            m.d.sync += signal.eq(value)
            return signal

        # 181 O = O + 4 * 9 * 5 O: three adders in three stages.
        assert SQRT2_NUMERATOR == 1 + 4 * 9 * 5
        odd5 = register(self.odd + (self.odd << 2), "odd5")
        rest = register((self.even << SQRT2_FRACTION) + self.odd, "rest_1")
        odd45 = register(odd5 + (odd5 << 3), "odd45")
        rest = register(rest, "rest_2")
        scaled = register(rest + (odd45 << 2), "scaled")
        units = Cat(C(0, NIBBLE_BITS.bit_length() - 1), self.drain_shift)
        shifted = register((scaled << units)[: VALUE.bits], "shifted")
        m.d.sync += self.value.eq(self.start + shifted)

        low_product = register(self.value[:_LOW_BITS] * self.multiplier, "low_product")
        high_product = register(
            self.value[_LOW_BITS:].as_signed() * self.multiplier, "high_product"
        )
        product = register(
            ((high_product << _LOW_BITS) + low_product)[: VALUE.bits + MULTIPLIER.bits].as_signed(),
            "product",
        )
        # The product takes 51 bits, D 48 and the shortcut 55: their sum always fits.
        scaled_shortcut = register(self.shortcut * self.shortcut_multiplier, "scaled_shortcut")
        coarse_shortcut = register(
            scaled_shortcut << Cat(C(0, 3), self.shortcut_shift[3:]), "coarse_shortcut"
        )
        added = register(
            (coarse_shortcut << self.shortcut_shift[:3])[: SUM.bits].as_signed(), "added"
        )
        constant = register((self.offset + added)[: SUM.bits].as_signed(), "constant")
        total = register((product + constant)[: SUM.bits].as_signed(), "total")

        coarse = register(total >> Cat(C(0, 3), self.shift[3:]), "coarse")
        fine = register(coarse >> self.shift[:3], "fine")
        m.d.sync += self.result.eq(
            Mux(fine < self.low, self.low, Mux(fine > self.high, self.high, fine))
        )
        return m
