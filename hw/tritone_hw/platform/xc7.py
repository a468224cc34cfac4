# SPDX-License-Identifier: Apache-2.0
"""The circuits of the array in the cells of AMD's 7 series."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from amaranth.hdl import Cat, ClockSignal, Const, Instance, Module, Signal, Value

from tritone_hw.platform.portable import Operand, PortableForm, Rail, Sum

__all__ = ["Xc7Form"]

_ZERO, _ONE = Const(0, 1), Const(1, 1)
_CARRY_BITS = 4


def _lut6_2(
    m: Module, lower: Callable[..., int], upper: Callable[..., int], *inputs: Value
) -> tuple[Value, Value]:
    """Return two functions of up to five shared ``inputs``, O5 and O6 of one LUT6."""
    o5, o6 = Signal(), Signal()
    init = 0
    for index in range(32):
        bits = [index >> bit & 1 for bit in range(len(inputs))]
        init |= bool(lower(*bits)) << index | bool(upper(*bits)) << index + 32
    pins = {f"i_I{n}": pin for n, pin in enumerate((*inputs, *[_ZERO] * (5 - len(inputs))))}
    m.submodules += Instance("LUT6_2", p_INIT=Const(init, 64), i_I5=_ONE, o_O5=o5, o_O6=o6, **pins)
    return o5, o6


def _lut6(m: Module, function: Callable[..., int], *inputs: Value) -> Value:
    """Return a LUT6 of ``function``, which takes a bit for each of the six ``inputs``."""
    output = Signal()
    init = 0
    for index in range(64):
        init |= bool(function(*(index >> bit & 1 for bit in range(6)))) << index
    pins = {f"i_I{n}": pin for n, pin in enumerate(inputs)}
    m.submodules += Instance("LUT6", p_INIT=Const(init, 64), o_O=output, **pins)
    return output


def _register(m: Module, value: Value, reset: Value, name: str) -> Signal:
    """Return flip-flops of ``value``, 0 after a cycle in which ``reset`` is 1."""
    register = Signal(len(value), name=name)
    for index in range(len(value)):
        # A cell of the device is not merged with its equals, as a register of yosys is, and one
        # that is kept is no part of a shift register in a lookup table.
        m.submodules += Instance(
            "FDRE",
            a_keep=1,
            i_C=ClockSignal(),
            i_CE=_ONE,
            i_R=reset,
            i_D=value[index],
            o_Q=register[index],
        )
    return register


@dataclass(frozen=True)
class _Bit:
    """A bit of a carry chain: ``select`` propagates the carry, else ``data`` is the next one."""

    select: Value
    data: Value
    sum: Value | None


_SEPARATOR = _Bit(_ZERO, _ZERO, None)


def _control(operand: Operand) -> Value:
    return operand.control if operand.control is not None else _ZERO


def _add_two(m: Module, left: Operand, right: Operand, total: Value) -> list[_Bit]:
    """Return the bits of the sum of two operands, masks or flips included: a LUT6 each."""
    widest = max(left.bits, right.bits)
    bits = []
    for index, place in enumerate(total):
        if index >= widest:
            bits.append(_Bit(_ZERO, _ZERO, place))
            continue

        def data(a: int, how_a: int, b: int, how_b: int, index: int = index) -> int:
            return left.added(index, a, how_a)

        def select(a: int, how_a: int, b: int, how_b: int, index: int = index) -> int:
            return left.added(index, a, how_a) ^ right.added(index, b, how_b)

        pins = (left.bit(index), _control(left), right.bit(index), _control(right))
        o5, o6 = _lut6_2(m, data, select, *pins)
        bits.append(_Bit(o6, o5, place))
    return bits


def _add_three(m: Module, operands: Sequence[Operand], total: Value) -> list[_Bit]:
    """Return the bits of the sum of three operands, the last one with mask or flip: a LUT6 each.

    Each adds its three bits to a sum and a saved carry, and that sum to the saved carry of the bit
    below, which comes out of that one's O5.
    """
    first, second, last = operands
    assert first.control is None
    assert second.control is None
    widest = max(each.bits for each in operands)
    saved: Value = _ZERO
    bits = []
    for index, place in enumerate(total):
        if index > widest:
            bits.append(_Bit(_ZERO, _ZERO, place))
            continue
        if index == widest:
            bits.append(_Bit(saved, _ZERO, place))
            continue

        def three(a: int, b: int, c: int, how: int, index: int = index) -> int:
            return first.added(index, a, 0) + second.added(index, b, 0) + last.added(index, c, how)

        def majority(a: int, b: int, c: int, how: int, below: int) -> int:
            return three(a, b, c, how) >> 1

        def select(a: int, b: int, c: int, how: int, below: int) -> int:
            return three(a, b, c, how) & 1 ^ below

        o5, o6 = _lut6_2(
            m, majority, select, *(each.bit(index) for each in operands), _control(last), saved
        )
        bits.append(_Bit(o6, saved, place))
        saved = o5
    return bits


def _shift_plain(m: Module, activation: Value, shift: Value) -> Value:
    """Return ``activation << shift``."""
    a, by1, by2 = activation, shift[0], shift[1]
    x0, x6 = _lut6_2(
        m,
        lambda a0, a3, by1, by2: a0 & ~by1 & ~by2,
        lambda a0, a3, by1, by2: a3 & by1 & by2,
        *(a[0], a[3], by1, by2),
    )
    x1, x2 = _lut6_2(
        m,
        lambda a0, a1, a2, by1, by2: 0 if by2 else (a0 if by1 else a1),
        lambda a0, a1, a2, by1, by2: (0 if by1 else a0) if by2 else (a1 if by1 else a2),
        *(a[0], a[1], a[2], by1, by2),
    )
    x3 = _lut6(m, lambda *pins: pins[3 - pins[4] - 2 * pins[5]], *a, by1, by2)
    x4, x5 = _lut6_2(
        m,
        lambda a1, a2, a3, by1, by2: (a1 if by1 else a2) if by2 else (a3 if by1 else 0),
        lambda a1, a2, a3, by1, by2: (a2 if by1 else a3) if by2 else 0,
        *(a[1], a[2], a[3], by1, by2),
    )
    return Cat(x0, x1, x2, x3, x4, x5, x6)


class Xc7Form(PortableForm):
    """LUT6s with two outputs for the shifter, resets for masks, adders of three.

    A register's reset masks a term at no cost, since the registers of a rail's term fill a slice.
    So the first adders take three terms as well; the input that this leaves of each LUT6
    complements one of them, whose shifter is the smaller for it.
    """

    OPERANDS = 3

    def shift(self, m: Module, activation: Value, shift: Value, sign: Value | None) -> Value:
        assert len(activation) == 4
        if sign is None:
            return _shift_plain(m, activation, shift)
        a, by1, by2 = activation, shift[0], shift[1]
        y0, y1 = _lut6_2(
            m,
            lambda a0, a1, by, s: (0 if by else a0) ^ s,
            lambda a0, a1, by, s: (a0 if by else a1) ^ s,
            *(a[0], a[1], by1, sign),
        )
        y2, y3 = _lut6_2(
            m,
            lambda a1, a2, a3, by, s: (a1 if by else a2) ^ s,
            lambda a1, a2, a3, by, s: (a2 if by else a3) ^ s,
            *(a[1], a[2], a[3], by1, sign),
        )
        y4, x0 = _lut6_2(
            m,
            lambda a3, by, s, by2, y0: (a3 if by else 0) ^ s,
            lambda a3, by, s, by2, y0: s if by2 else y0,
            *(a[3], by1, sign, by2, y0),
        )
        x1, x3 = _lut6_2(
            m,
            lambda y1, y3, s, by: s if by else y1,
            lambda y1, y3, s, by: y1 if by else y3,
            *(y1, y3, sign, by2),
        )
        x2, x4 = _lut6_2(
            m,
            lambda y0, y2, y4, by: y0 if by else y2,
            lambda y0, y2, y4, by: y2 if by else y4,
            *(y0, y2, y4, by2),
        )
        x5, x6 = _lut6_2(
            m,
            lambda y3, y4, s, by: y3 if by else s,
            lambda y3, y4, s, by: y4 if by else s,
            *(y3, y4, sign, by2),
        )
        return Cat(x0, x1, x2, x3, x4, x5, x6)

    def flips(self, operands: int) -> int:
        # Inputs of a LUT6_2 without the operands' own and, of three, the carry that is saved.
        return {2: 2, 3: 1}.get(operands, 0)

    def hold(
        self, m: Module, term: Value, rails: Sequence[Rail], name: str, flip: Value | None
    ) -> tuple[Operand, ...]:
        held = []
        for number, rail in enumerate(rails):
            value = Cat(term[: rail.bits], *(() if flip is None else (flip,)))
            register = _register(m, value, rail.off, f"{name}_{number}")
            held.append(
                Operand(
                    register[: rail.bits],
                    (1 << rail.bits) - 1,
                    flip=None if flip is None else register[-1],
                )
            )
        return tuple(held)

    def add(self, m: Module, sums: Sequence[Sum]) -> list[Value]:
        bits: list[_Bit] = []
        totals: list[Value] = []
        for each in sums:
            total = Signal(each.bits, name="sum")
            totals.append(total)
            if len(each.operands) == 3:
                bits += _add_three(m, each.operands, total)
            else:
                bits += _add_two(m, *each.operands, total)
            if not each.closed and each is not sums[-1]:
                bits.append(_SEPARATOR)
        bits += [_SEPARATOR] * (-len(bits) % _CARRY_BITS)
        carry: Value = _ZERO
        for start in range(0, len(bits), _CARRY_BITS):
            part = bits[start : start + _CARRY_BITS]
            carries, found = Signal(_CARRY_BITS, name="carries"), Signal(_CARRY_BITS, name="found")
            m.submodules += Instance(
                "CARRY4",
                i_CI=carry,
                i_CYINIT=_ZERO,
                i_DI=Cat(each.data for each in part),
                i_S=Cat(each.select for each in part),
                o_CO=carries,
                o_O=found,
            )
            carry = carries[-1]
            m.d.comb += [
                each.sum.eq(found[number])
                for number, each in enumerate(part)
                if each.sum is not None
            ]
        return totals

    def copy(self, m: Module, value: Value, name: str) -> Value:
        return _register(m, value, _ZERO, name)
