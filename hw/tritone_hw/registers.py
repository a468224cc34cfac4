# SPDX-License-Identifier: Apache-2.0
"""The AXI4-Lite port: the registers of ``tritone.spec.regmap`` and the interrupt."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.wiring import Component, In, Out

from tritone.spec.axi import LITE_DATA_BITS, Response
from tritone.spec.machine import ISA_VERSION, MachineConfig
from tritone.spec.regmap import REGISTERS, Access, Control, ErrorCode, Status
from tritone_hw.axi import AXI_LITE

__all__ = ["SETTINGS", "Registers"]

# Registers whose value the host sets and the sequencer reads.
SETTINGS = tuple(
    each.name for each in REGISTERS if each.access is Access.READ_WRITE and each.name != "control"
)

_STROBES = ("array_step", "read_beat", "write_beat", "image_done")


class Registers(Component):
    """Registers, counters and interrupt.

    Write address and write data may come in any order; a second transaction of a kind waits until
    the host has taken the response to the first. ``start`` comes one cycle after the write, when
    all settings are up to date.

    Parameters
    ----------
    machine : gives the fingerprint.

    Members
    -------
    bus : AXI4-Lite subordinate.
    start : for one cycle when a run begins; ``busy`` is high from the same cycle on.
    busy : high until the cycle behind ``stop``.
    dump : Control.DUMP.
    program_address ... : the registers of that name.
    stop : for one cycle when the run has ended, with its ``error``.
    instruction : value of the register of that name.
    array_step, read_beat, write_beat, image_done : high in every cycle to be counted.
    interrupt : high while enabled and done or stopped by an error.
    """

    def __init__(self, machine: MachineConfig) -> None:
        self.machine = machine
        super().__init__(
            {
                "bus": In(AXI_LITE),
                "start": Out(1),
                "busy": Out(1),
                "dump": Out(1),
                "stop": In(1),
                "error": In(ErrorCode),
                "instruction": In(16),
                "interrupt": Out(1),
            }
            | {name: Out(LITE_DATA_BITS) for name in SETTINGS}
            | {name: In(1) for name in _STROBES}
        )
        self._interrupt_enable = Signal()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        values = self._values(m)
        self._read(m, values)
        self._write(m)
        return m

    def _counter(self, m: Module, bits: int, strobe: Value, name: str) -> Signal:
        """Return a counter of the cycles with ``strobe`` since start."""
        counter = Signal(bits, name=name)
        with m.If(self.start):
            m.d.sync += counter.eq(0)
        with m.Elif(strobe):
            m.d.sync += counter.eq(counter + 1)
        return counter

    def _values(self, m: Module) -> dict[str, Value]:
        """Return what each register reads."""
        done = Signal()
        failed = Signal()
        error = Signal(ErrorCode)
        cycles = self._counter(m, 64, self.busy, "cycles")
        array_cycles = self._counter(m, 64, self.array_step, "array_cycles")

        with m.If(self.stop):
            m.d.sync += [
                self.busy.eq(0),
                error.eq(self.error),
                done.eq(self.error == ErrorCode.NONE),
                failed.eq(self.error != ErrorCode.NONE),
            ]
        with m.If(self.start):
            m.d.sync += [done.eq(0), failed.eq(0), error.eq(ErrorCode.NONE)]
        m.d.comb += self.interrupt.eq(self._interrupt_enable & (done | failed))

        status = {Status.BUSY: self.busy, Status.DONE: done, Status.ERROR: failed}
        control = {Control.DUMP: self.dump, Control.INTERRUPT_ENABLE: self._interrupt_enable}
        fingerprint = Const(self.machine.fingerprint, 64)
        return {
            "control": _flags(control),
            "status": _flags(status),
            "error": error,
            "instruction": self.instruction,
            "fingerprint_low": fingerprint[:LITE_DATA_BITS],
            "fingerprint_high": fingerprint[LITE_DATA_BITS:],
            "version": Const(ISA_VERSION, LITE_DATA_BITS),
            "images_done": self._counter(m, LITE_DATA_BITS, self.image_done, "images_done"),
            "cycles_low": cycles[:LITE_DATA_BITS],
            "cycles_high": cycles[LITE_DATA_BITS:],
            "array_cycles_low": array_cycles[:LITE_DATA_BITS],
            "array_cycles_high": array_cycles[LITE_DATA_BITS:],
            "read_beats": self._counter(m, LITE_DATA_BITS, self.read_beat, "read_beats"),
            "write_beats": self._counter(m, LITE_DATA_BITS, self.write_beat, "write_beats"),
        } | {name: getattr(self, name) for name in SETTINGS}

    def _read(self, m: Module, values: dict[str, Value]) -> None:
        """Answer reads: one transaction at a time."""
        bus = self.bus
        m.d.comb += bus.arready.eq(~bus.rvalid)
        with m.If(bus.rvalid & bus.rready):
            m.d.sync += bus.rvalid.eq(0)
        with m.If(bus.arvalid & bus.arready):
            # A tree of multiplexers; a switch would become a comparison for each register.
            index = bus.araddr[2:]
            words = Cat(Cat(values[each.name], Const(0, 32))[:LITE_DATA_BITS] for each in REGISTERS)
            m.d.sync += [
                bus.rvalid.eq(1),
                bus.rdata.eq(words.word_select(index, LITE_DATA_BITS)),
                bus.rresp.eq(Mux(index < len(REGISTERS), Response.OKAY, Response.DECERR)),
            ]

    def _write(self, m: Module) -> None:
        """Take writes: address and data are held until both are there."""
        bus = self.bus
        address_held = Signal()
        address = Signal.like(bus.awaddr)
        data_held = Signal()
        data = Signal.like(bus.wdata)
        strobes = Signal.like(bus.wstrb)
        m.d.comb += [bus.awready.eq(~address_held), bus.wready.eq(~data_held)]
        with m.If(bus.awvalid & bus.awready):
            m.d.sync += [address.eq(bus.awaddr), address_held.eq(1)]
        with m.If(bus.wvalid & bus.wready):
            m.d.sync += [data.eq(bus.wdata), strobes.eq(bus.wstrb), data_held.eq(1)]

        with m.If(bus.bvalid & bus.bready):
            m.d.sync += bus.bvalid.eq(0)
        m.d.sync += self.start.eq(0)
        # The bytes of a setting take what was written for enables, not for multiplexers.
        written = {name: Signal(name=f"write_{name}") for name in SETTINGS}
        for name in SETTINGS:
            for byte, strobe in enumerate(strobes):
                with m.If(written[name] & strobe):
                    part = slice(8 * byte, 8 * byte + 8)
                    m.d.sync += getattr(self, name)[part].eq(data[part])
        with m.If(address_held & data_held & ~bus.bvalid):
            m.d.sync += [address_held.eq(0), data_held.eq(0), bus.bvalid.eq(1)]
            m.d.sync += bus.bresp.eq(Response.DECERR)
            with m.Switch(address[2:]):
                for each in REGISTERS:
                    with m.Case(each.address // 4):
                        writable = each.access is Access.READ_WRITE
                        m.d.sync += bus.bresp.eq(Response.OKAY if writable else Response.SLVERR)
                        if each.name == "control":
                            self._write_control(m, data, strobes[0])
                        elif writable:
                            m.d.comb += written[each.name].eq(1)

    def _write_control(self, m: Module, data: Value, strobe: Value) -> None:
        """Take the lowest byte of a write to the register control."""
        with m.If(strobe):
            m.d.sync += [
                self.dump.eq(_flag(data, Control.DUMP)),
                self._interrupt_enable.eq(_flag(data, Control.INTERRUPT_ENABLE)),
            ]
            with m.If(_flag(data, Control.START) & ~self.busy):
                m.d.sync += [self.start.eq(1), self.busy.eq(1)]


def _flag(word: Value, flag: Control) -> Value:
    """Return the bit of ``word`` that ``flag`` names."""
    return word[flag.bit_length() - 1]


def _flags(values: dict[Control, Value] | dict[Status, Value]) -> Value:
    """Return the word in which each flag has its value."""
    word: Value = Const(0)
    for flag, value in values.items():
        word = word | Mux(value, int(flag), 0)
    return word
