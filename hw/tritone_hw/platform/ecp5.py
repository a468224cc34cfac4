# SPDX-License-Identifier: Apache-2.0
"""The circuits of the array in the cells of Lattice's ECP5."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from amaranth.hdl import Cat, ClockSignal, Const, Instance, Module, Signal, Value

from tritone_hw.platform.portable import Operand, PortableForm, Sum

__all__ = ["Ecp5Form"]

_ZERO = Const(0, 1)


def _lut4(m: Module, function: Callable[..., int], *inputs: Value) -> Value:
    """Return a LUT4 of ``function``, which takes a bit for each of the ``inputs``."""
    output = Signal()
    init = 0
    for index in range(16):
        if function(*(index >> bit & 1 for bit in range(len(inputs)))):
            init |= 1 << index
    pins = dict(zip(("i_A", "i_B", "i_C", "i_D"), (*inputs, *[_ZERO] * 4), strict=False))
    m.submodules += Instance("LUT4", p_INIT=Const(init, 16), o_Z=output, **pins)
    return output


@dataclass(frozen=True)
class _Half:
    """Half of a CCU2C: what its LUT4 holds, its inputs A to D, where its sum goes."""

    init: int
    inputs: tuple[Value, Value, Value, Value]
    sum: Value | None


# Neither propagates nor generates a carry.
_SEPARATOR = _Half(0, (_ZERO,) * 4, None)


def _half(left: Operand, right: Operand, index: int, total: Value) -> _Half:
    """Return the half that adds bit ``index`` of two operands, masks included."""
    if right.inverted:
        left, right = right, left
    assert not right.inverted
    pins: list[Value] = []
    for operand in (left, right):
        masked = operand.present(index) and operand.mask is not None
        pins += [operand.bit(index), operand.mask if masked else _ZERO]
    init = 0
    for number in range(16):
        a, mask_a, b, mask_b = (number >> bit & 1 for bit in range(4))
        # The carry's generate is the same table for C = D = 0: the left operand alone, since one
        # that is not inverted adds nothing then.
        init |= (left.added(index, a, mask_a) ^ right.added(index, b, mask_b)) << number
    return _Half(init, (pins[0], pins[1], pins[2], pins[3]), total[index])


class Ecp5Form(PortableForm):
    """LUT4s for the shifter, masks in the LUT4s of a carry chain.

    Yosys infers neither: its adders take operands as they are, and its mapper trades area for
    depth. Chains begin with a constant carry in and end with an open carry out, which nextpnr pays
    with cells; ``carry_trim`` takes them away.
    """

    def shift(self, m: Module, activation: Value, shift: Value, sign: Value | None) -> Value:
        bits = len(activation)
        sign = _ZERO if sign is None else sign
        low, high = shift[0], shift[1]

        def tap(index: int) -> Value:
            return activation[index] if 0 <= index < bits else _ZERO

        # By 0 or 1, inverted if negative; then by 0 or 2, filled up with what a 0 has become.
        first = [
            _lut4(m, lambda a, b, by, s: (b if by else a) ^ s, tap(i), tap(i - 1), low, sign)
            for i in range(bits + 1)
        ]

        def inner(index: int) -> Value:
            return first[index] if 0 <= index < len(first) else sign

        return Cat(
            _lut4(m, lambda a, b, by: b if by else a, inner(i), inner(i - 2), high)
            for i in range(bits + 3)
        )

    def add(self, m: Module, sums: Sequence[Sum]) -> list[Value]:
        halves: list[_Half] = []
        totals: list[Value] = []
        for each in sums:
            total = Signal(each.bits, name="sum")
            totals.append(total)
            left, right = each.operands
            halves += [_half(left, right, index, total) for index in range(each.bits)]
            if not each.closed and each is not sums[-1]:
                halves.append(_SEPARATOR)
        if len(halves) % 2:
            halves.append(_SEPARATOR)
        carry: Value = _ZERO
        for index in range(0, len(halves), 2):
            cell: dict[str, Value | str] = {"i_CIN": carry}
            for number, half in enumerate(halves[index : index + 2]):
                cell[f"p_INIT{number}"] = Const(half.init, 16)
                cell[f"p_INJECT1_{number}"] = "NO"
                for pin, value in zip("ABCD", half.inputs, strict=True):
                    cell[f"i_{pin}{number}"] = value
                if half.sum is not None:
                    cell[f"o_S{number}"] = half.sum
            if index + 2 < len(halves):
                carry = Signal(name="carry")
                cell["o_COUT"] = carry
            m.submodules += Instance("CCU2C", **cell)
        return totals

    def copy(self, m: Module, value: Value, name: str) -> Value:
        register = Signal(len(value), name=name)
        for index in range(len(value)):
            # A cell of the device is not merged with its equals, as a register of yosys is.
            m.submodules += Instance(
                "TRELLIS_FF",
                p_GSR="DISABLED",
                p_CEMUX="1",
                p_CLKMUX="CLK",
                p_LSRMUX="LSR",
                p_SRMODE="ASYNC",
                p_REGSET="RESET",
                i_CLK=ClockSignal(),
                i_LSR=_ZERO,
                i_CE=Const(1, 1),
                i_DI=value[index],
                o_Q=register[index],
            )
        return register
