# SPDX-License-Identifier: Apache-2.0
"""Reads the activations of a step: bank addresses, quantisation, padding, choice of the nibble."""

from __future__ import annotations

from amaranth import Array as Choice
from amaranth import Cat, Module, Mux, Signal, Value, signed
from amaranth.hdl import ValueLike
from amaranth.lib import stream, wiring
from amaranth.lib.data import ArrayLayout, StructLayout
from amaranth.lib.wiring import In, Out

from tritone.spec.fixed import GAIN, NIBBLE_BITS, STREAM
from tritone.spec.isa import LAYER
from tritone.spec.machine import MachineConfig
from tritone_hw.delay_line import DelayLine
from tritone_hw.feature_memory import FeatureMemory, bank_index, bank_word, window_layout
from tritone_hw.layout import record_layout

__all__ = ["ActivationReader", "half", "position_layout"]

# A coordinate in the input: padding makes it negative, masked pixels too large.
_COORDINATE = signed(14)

# u + c, where c = half(r) - (z mod 2^r) is in -127..64.
_ROUNDED_BITS = STREAM.bits + 2


def position_layout(machine: MachineConfig) -> StructLayout:
    """Return the layout of where a step reads.

    ``x`` and ``y`` are the coordinates of pixel 0 in the input, ``row`` is the first word of its
    row of its channel word, ``nibble`` which one of the activation the array takes.
    """
    return StructLayout(
        {"x": _COORDINATE, "y": _COORDINATE, "row": machine.feature_address_bits, "nibble": 1}
    )


def half(shift: ValueLike) -> Value:
    """Return half of 2**shift, 0 for shift 0: what makes a right shift round half up."""
    return ((1 << Value.cast(shift)) >> 1)[: STREAM.bits]


class ActivationReader(wiring.Component):
    """Fetches the R channels of P pixels for a step and quantises them.

    ``a = clamp(z_a + ((u - z + half(r)) >> r), 0, read_max)``, or ``pad_code`` outside the input.
    It is computed as ``(u + c) >> r`` with one constant a layer, ``c = half(r) - z + (z_a << r)``;
    exact, as ``z_a = z >> r``. On an adaptive machine it is ``(u * G + c) >> (r + 8)`` with
    ``c = half(r + 8) + ((z_a << r) - z) * 256``; with G = 256, which is one, that is the same. For
    r = 0 then too: the half that is added to an integer is dropped. r is at most 7, and read_max
    one less than a power of two.

    Pixel p of a step is ``x + p * stride``. The P pixels lie within 2P neighbours, so each bank is
    asked for the one of these that it holds.

    Timing: one step a cycle, no stalls; ``activations`` and ``nibbles`` stand ``latency`` cycles
    after the step, beside ``ready``. ``layer`` and ``gain`` must not change while a step is under
    way; ``layer`` stands one cycle before the first step, ``gain`` with it.

    Parameters
    ----------
    machine : shape of the machine.

    Members
    -------
    layer : In(record_layout(LAYER))
        The layer.
    valid : In(1)
        There is a step.
    position : In(position_layout(machine))
        Where it reads.
    window : Out(stream.Signature(window_layout(machine), always_ready=True))
        Goes to the feature memory.
    words : In(ArrayLayout(ArrayLayout(8, R), 2P))
        Comes from there.
    ready : Out(1)
        Strobe.
    activations : Out(ArrayLayout(ArrayLayout(8, R), P))
        Quantised activations.
    nibbles : Out(ArrayLayout(ArrayLayout(4, R), P))
        The nibble of each that ``position.nibble`` names.
    gain : In(10), on an adaptive machine only
        G in U2.8: 1..512.
    """

    def __init__(self, machine: MachineConfig) -> None:
        if not isinstance(machine, MachineConfig):
            raise TypeError(f"Machine must be a MachineConfig, not {machine!r}")
        self._machine = machine
        rows, pixels, banks = machine.rows, machine.pixels, machine.banks
        super().__init__(
            {
                "layer": In(record_layout(LAYER)),
                "valid": In(1),
                "position": In(position_layout(machine)),
                "window": Out(stream.Signature(window_layout(machine), always_ready=True)),
                "words": In(ArrayLayout(ArrayLayout(STREAM.bits, rows), banks)),
                "ready": Out(1),
                "activations": Out(ArrayLayout(ArrayLayout(STREAM.bits, rows), pixels)),
                "nibbles": Out(ArrayLayout(ArrayLayout(NIBBLE_BITS, rows), pixels)),
            }
            | ({"gain": In(GAIN.bits)} if machine.adaptive else {})
        )

    @property
    def machine(self) -> MachineConfig:
        """Shape of the machine."""
        return self._machine

    @property
    def latency(self) -> int:
        """Cycles from a step to its activations.

        Addresses, memory, choice of banks, product with G on an adaptive machine, rounding, clamp.
        """
        return 4 + FeatureMemory.WINDOW_LATENCY + self._machine.adaptive

    def _rounding(self, m: Module) -> tuple[Signal, int]:
        """Return the constant c of the layer and the bits that are dropped besides r."""
        layer = self.layer
        bits = GAIN.frac if self._machine.adaptive else 0
        constant = Signal(signed(_ROUNDED_BITS + bits), reset_less=True)
        zeros = (layer.read_offset << layer.read_shift[:3]) - layer.read_zero
        rounding = (1 << layer.read_shift) << bits - 1 if bits else half(layer.read_shift)
        m.d.sync += constant.eq(rounding + (zeros << bits))
        return constant, bits

    def elaborate(self, platform: object) -> Module:
        m = Module()
        machine, layer, position = self._machine, self.layer, self.position

        first_word = Signal(machine.feature_address_bits)
        first_bank = bank_index(machine, position.x)
        m.d.comb += first_word.eq(position.row + bank_word(machine, position.x))
        m.d.sync += [
            self.window.valid.eq(self.valid),
            self.window.payload.group.eq(layer.in_group),
        ]
        for bank, address in enumerate(self.window.payload.addresses):
            # Pixels left of x in this bank's numbering lie in its next word; never so in the last.
            wraps = (bank < first_bank) if bank < machine.banks - 1 else 0
            m.d.sync += address.eq(first_word + wraps)

        inside_row = (position.y >= 0) & (position.y < layer.in_height)
        wanted = Signal(
            ArrayLayout(
                StructLayout({"bank": len(first_bank), "inside": 1}),
                machine.pixels,
            )
        )
        for pixel in range(machine.pixels):
            x = Signal(_COORDINATE, name=f"x{pixel}")
            m.d.comb += [
                x.eq(position.x + Mux(layer.stride[1], 2 * pixel, pixel)),
                wanted[pixel].bank.eq(bank_index(machine, x)),
                wanted[pixel].inside.eq(inside_row & (x >= 0) & (x < layer.in_width)),
            ]
        m.submodules.wanted = fetched = DelayLine(wanted.shape(), 1 + FeatureMemory.WINDOW_LATENCY)
        m.submodules.nibble = nibble = DelayLine(1, self.latency - 1)
        m.d.comb += [fetched.input.eq(wanted), nibble.input.eq(position.nibble)]

        constant, dropped = self._rounding(m)
        # The largest sum that is not clamped. All its bits are ones: what exceeds it has others.
        most = Signal(STREAM.bits, reset_less=True)
        m.d.sync += most.eq(~(~layer.read_max << layer.read_shift[:3]))
        for pixel in range(machine.pixels):
            choices = Choice(word.as_value() for word in self.words)
            codes = Signal(self.words[0].shape(), name=f"codes{pixel}", reset_less=True)
            # As long as the codes take to where they are clamped.
            inside = Signal(2 + machine.adaptive, name=f"inside{pixel}", reset_less=True)
            m.d.sync += [
                codes.eq(choices[fetched.output[pixel].bank]),
                inside.eq(Cat(fetched.output[pixel].inside, inside)),
            ]
            limit = Signal(STREAM.bits, name=f"limit{pixel}")
            m.d.comb += limit.eq(Mux(inside[-1], layer.read_max, layer.pad_code))
            for row, code in enumerate(codes):
                scaled = code
                if machine.adaptive:
                    scaled = Signal(
                        STREAM.bits + GAIN.bits, name=f"scaled{pixel}_{row}", reset_less=True
                    )
                    m.d.sync += scaled.eq(code * self.gain)
                total = Signal(signed(_ROUNDED_BITS + machine.adaptive), name=f"total{pixel}_{row}")
                rounded = Signal(STREAM.bits, name=f"rounded{pixel}_{row}", reset_less=True)
                negative = Signal(name=f"negative{pixel}_{row}", reset_less=True)
                beyond = Signal(name=f"beyond{pixel}_{row}", reset_less=True)
                m.d.comb += total.eq((scaled + constant) >> dropped)
                m.d.sync += [
                    rounded.eq(total[: STREAM.bits] >> layer.read_shift[:3]),
                    negative.eq(total[-1]),
                    beyond.eq(
                        ~total[-1]
                        & ((total[: STREAM.bits] & ~most).any() | total[STREAM.bits : -1].any())
                    ),
                ]
                activation = Signal(STREAM.bits, name=f"activation{pixel}_{row}")
                m.d.comb += activation.eq(
                    Mux(
                        ~inside[-1] | beyond,
                        limit,
                        rounded & (~negative).replicate(STREAM.bits),
                    )
                )
                m.d.sync += [
                    self.activations[pixel][row].eq(activation),
                    self.nibbles[pixel][row].eq(activation.word_select(nibble.output, NIBBLE_BITS)),
                ]

        valid = Signal(self.latency)
        m.d.sync += valid.eq(Cat(self.valid, valid))
        m.d.comb += self.ready.eq(valid[-1])
        return m
