# SPDX-License-Identifier: Apache-2.0
"""The arithmetic of one output: drains, scale, shortcut, offset, rounding shift and clamp.

There is a lane with a multiplier and one without, whose scales are half octaves.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from amaranth import C, Cat, Module, Mux, Signal, Value, signed
from amaranth.hdl import ShapeLike, ValueLike
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tritone.spec.fixed import (
    LOGIT,
    MULTIPLIER,
    NIBBLE_BITS,
    OCTAVES_MAX,
    OFFSET,
    SQRT2_FRACTION,
    SQRT2_NUMERATOR,
    STREAM,
    SUM,
    VALUE,
)
from tritone.spec.isa import LAYER, PASS_STEP
from tritone.spec.machine import RequantizerKind
from tritone_hw.layout import record_layout

__all__ = ["LANES", "HalfOctaveLane", "MultiplierLane", "RequantizerLane"]

_SHIFT = record_layout(LAYER)["shift"].shape
_DRAIN_SHIFT = record_layout(PASS_STEP)["shift"].shape
_LIMIT = signed(LOGIT.bits)
_SHORTCUT_SHIFT = record_layout(LAYER)["shortcut_shift"].shape
_OCTAVES = OCTAVES_MAX.bit_length()

# The lowest three bits of a shift are its second stage.
_FINE_MOST = 7

# DSP blocks of ECP5 and 7 series multiply 18 by 18 bits: the product is built from two such.
_LOW_BITS = 18


class RequantizerLane(wiring.Component):
    """What both lanes have: the sum of drains in front, shift and clamp behind.

    Timing: one output a cycle, no stalls. Inputs of an output are presented in different cycles,
    counted from that of ``even`` and ``odd``: the class constants say in which. Limits, and what is
    no member of ``parameters``, do not change under way.

    Parameters
    ----------
    even_bits, odd_bits : widths of the accumulators.

    Attributes
    ----------
    parameters : of each field of the channel's record the cycle in which it is presented; ``bias``
        is part of ``start``.
    start_at : cycle in which ``start`` is presented; ``drain_shift`` is one earlier.
    shortcut_at : cycle in which ``shortcut`` is presented.
    value_at : cycle in which ``value`` is read.
    latency : cycle in which ``result`` is read.

    Members
    -------
    even, odd : In(even_bits), In(odd_bits)
        Raw accumulators.
    drain_shift : In(2)
        Shift of the accumulators in units of 4.
    start : In(36)
        What the value starts from: B, or the sum of earlier drains.
    offset : In(signed(48))
        D.
    shortcut : In(signed(9))
        Q, the shortcut's code less its zero.
    shift, low, high : In(6), In(signed(16)), In(signed(16))
        S and the clamp.
    value : Out(36)
        ``start`` plus the accumulators, modulo 2**36.
    result : Out(signed(16))
        The code.
    """

    parameters: ClassVar[Mapping[str, int]]
    shortcut_at = 3
    start_at = 4
    value_at = 5
    latency: int

    def __init__(self, even_bits: int, odd_bits: int, own: dict[str, ShapeLike]) -> None:
        super().__init__(
            {
                "even": In(even_bits),
                "odd": In(odd_bits),
                "drain_shift": In(_DRAIN_SHIFT),
                "start": In(VALUE.bits),
                "offset": In(signed(OFFSET.bits)),
                "shortcut": In(signed(STREAM.bits + 1)),
                "shift": In(_SHIFT),
                "low": In(_LIMIT),
                "high": In(_LIMIT),
                "value": Out(VALUE.bits),
                "result": Out(_LIMIT),
            }
            | {name: In(shape) for name, shape in own.items()}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        even, odd = self._rails()
        # 181 O = O + 4 * 9 * 5 O: three adders in three stages.
        assert SQRT2_NUMERATOR == 1 + 4 * 9 * 5
        odd5 = _register(m, odd + (odd << 2), "odd5")
        rest = _register(m, (even << SQRT2_FRACTION) + odd, "rest_1")
        odd45 = _register(m, odd5 + (odd5 << 3), "odd45")
        rest = _register(m, rest, "rest_2")
        scaled = _register(m, rest + (odd45 << 2), "scaled")
        units = Cat(C(0, NIBBLE_BITS.bit_length() - 1), self.drain_shift)
        shifted = _register(m, (scaled << units)[: VALUE.bits], "shifted")
        m.d.sync += self.value.eq(self.start + shifted)

        m.d.sync += self.result.eq(self._code(m).clamp(self.low, self.high))
        return m

    @abstractmethod
    def _rails(self) -> tuple[Value, Value]:
        """Return what counts 128 and what counts 181."""

    @abstractmethod
    def _code(self, m: Module) -> Shifted:
        """Return the result without its clamp, a cycle before it."""


@dataclass(frozen=True, kw_only=True)
class Shifted:
    """A number that is to be clamped: no more of it than the clamp looks at.

    Parameters
    ----------
    value : the number, if neither of the others is set.
    under, over : it is less, or more, than any bound.
    """

    value: Value
    under: Value
    over: Value

    def clamp(self, low: ValueLike, high: ValueLike) -> Value:
        """Return it, or the bound that it exceeds."""
        below = self.under | (~self.over & (self.value < low))
        above = self.over | (~self.under & (self.value > high))
        return Mux(below, low, Mux(above, high, self.value))


def _register(m: Module, value: Value, name: str) -> Signal:
    signal = Signal(value.shape(), name=name, reset_less=True)
    m.d.sync += signal.eq(value)
    return signal


def _shift_right(
    m: Module, value: Value, shift: Value, later_shift: Value, bits: int, name: str
) -> Shifted:
    """Return ``value >> shift`` two cycles later, for bounds of ``bits`` bits with their sign.

    ``later_shift`` is S a cycle later. Its three lowest bits shift by up to 7: what does not fit
    ``bits`` + 7 bits before that exceeds all bounds, by however much. Whether it does is seen on
    the bits that are not shifted, so that no more than these are.
    """
    kept = bits + _FINE_MOST
    near = (value >> Cat(C(0, 3), shift[3:]))[:kept].as_signed()
    coarse = _register(m, near, f"coarse_{name}")
    sign = value[-1]
    exceeds: list[Value] = []  # shifted right by so many bytes
    for first in reversed(range(kept - 1, kept - 1 + (8 << len(shift) - 3), 8)):
        octet = value[first : first + 8]
        # Verilog has no empty vectors.
        differs = (octet ^ sign.replicate(len(octet))).any() if len(octet) else C(0)
        exceeds.insert(0, differs | exceeds[0] if exceeds else differs)
    beyond = _register(m, Cat(exceeds).bit_select(shift[3:], 1), f"beyond_{name}")
    negative = _register(m, sign, f"negative_{name}")
    return Shifted(
        value=_register(m, coarse >> later_shift[:3], f"fine_{name}"),
        under=_register(m, beyond & negative, f"under_{name}"),
        over=_register(m, beyond & ~negative, f"over_{name}"),
    )


class MultiplierLane(RequantizerLane):
    """The formula ``clamp((v * M + ((Q * K) << t) + D) >> S)``.

    In it ``v = start + ((128 E + 181 O) << drain_shift)``.

    Members
    -------
    multiplier : In(signed(16))
        M.
    shortcut_multiplier, shortcut_shift : In(signed(16)), In(5)
        K, t.
    """

    parameters: ClassVar = {"bias": 4, "multiplier": 5, "offset": 6}
    latency = 11

    def __init__(self, even_bits: int, odd_bits: int) -> None:
        super().__init__(
            even_bits,
            odd_bits,
            {
                "multiplier": signed(MULTIPLIER.bits),
                "shortcut_multiplier": signed(MULTIPLIER.bits),
                "shortcut_shift": _SHORTCUT_SHIFT,
            },
        )

    def _rails(self) -> tuple[Value, Value]:
        return self.even, self.odd

    def _code(self, m: Module) -> Shifted:
        low_product = _register(m, self.value[:_LOW_BITS] * self.multiplier, "low_product")
        high_product = _register(
            m, self.value[_LOW_BITS:].as_signed() * self.multiplier, "high_product"
        )
        product = _register(
            m,
            ((high_product << _LOW_BITS) + low_product)[: VALUE.bits + MULTIPLIER.bits].as_signed(),
            "product",
        )
        # The product takes 51 bits, D 48 and the shortcut 55: their sum always fits.
        scaled = _register(m, self.shortcut * self.shortcut_multiplier, "scaled_shortcut")
        # By few bits first, while it is narrow.
        fine = _register(m, scaled << self.shortcut_shift[:3], "fine_shortcut")
        coarse = fine << Cat(C(0, 3), self.shortcut_shift[3:])
        added = _register(m, coarse[: SUM.bits].as_signed(), "added")
        constant = _register(m, (self.offset + added)[: SUM.bits].as_signed(), "constant")
        total = _register(m, (product + constant)[: SUM.bits].as_signed(), "total")
        return _shift_right(m, total, self.shift, self.shift, LOGIT.bits, "total")


class HalfOctaveLane(RequantizerLane):
    """The formula ``clamp((((v + D) >> S) + (Q << t)) >> d)``, without any multiplier.

    S is the channel's own. In it ``v = start + ((128 E + 181 O) << drain_shift)``, or with rails
    turned ``start + ((181 E + 256 O) << drain_shift)``, sqrt 2 times as much.

    Members
    -------
    turned : In(1)
        Whether they are.
    shortcut_shift, final_shift : In(3), In(3)
        t, d.
    """

    parameters: ClassVar = {"turned": 0, "bias": 4, "offset": 5, "shift": 6}
    latency = 12

    def __init__(self, even_bits: int, odd_bits: int) -> None:
        octaves = {"turned": 1, "shortcut_shift": _OCTAVES, "final_shift": _OCTAVES}
        super().__init__(even_bits, odd_bits, octaves)

    def _rails(self) -> tuple[Value, Value]:
        return (
            Mux(self.turned, self.odd << 1, self.even),
            Mux(self.turned, self.even, self.odd),
        )

    def _code(self, m: Module) -> Shifted:
        total = _register(m, self.value.as_signed() + self.offset, "total")
        later_shift = _register(m, self.shift, "later_shift")
        # With Q << t, of at most 15 bits and a sign, what is beyond is beyond every clamp.
        bits = LOGIT.bits + OCTAVES_MAX + 1
        bound = C((1 << bits - 1) - 1, signed(bits))
        fine = _shift_right(m, total, self.shift, later_shift, bits, "total")
        near = _register(m, fine.clamp(~bound, bound)[:bits].as_signed(), "near")
        shortcut: Value = self.shortcut
        for cycle in range(self.shortcut_at, self.parameters["shift"] + 2):
            shortcut = _register(m, shortcut, f"shortcut_{cycle + 1}")
        added = _register(m, shortcut << self.shortcut_shift, "added")
        total = _register(m, near + added, "sum")
        code = _register(m, total >> self.final_shift, "code")
        return Shifted(value=code, under=C(0), over=C(0))


LANES: dict[RequantizerKind, type[RequantizerLane]] = {
    RequantizerKind.MULTIPLIER: MultiplierLane,
    RequantizerKind.HALF_OCTAVE: HalfOctaveLane,
}
