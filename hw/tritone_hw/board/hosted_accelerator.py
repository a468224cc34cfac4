# SPDX-License-Identifier: Apache-2.0
"""The accelerator with memory on the chip, behind a serial line."""

from __future__ import annotations

from amaranth.hdl import Module
from amaranth.lib.wiring import Component, In, Out, connect

from tritone.spec.machine import BEAT_BYTES, MachineConfig
from tritone_hw.accelerator import Accelerator
from tritone_hw.board.board_memory import BoardMemory
from tritone_hw.board.host_link import HostLink
from tritone_hw.board.uart import UartReceiver, UartTransmitter

__all__ = ["HostedAccelerator"]


class HostedAccelerator(Component):
    """What runs on a board and in a simulation of it: all but pins and clock.

    Parameters
    ----------
    machine : shape of the machine.
    memory_bytes : behind its bus, from address 0 on; a power of two.
    clock_hz : of everything.
    divisor : cycles of a bit of the line.

    Members
    -------
    rx : In(1)
        From the host.
    tx : Out(1)
        To the host.
    active : Out(1)
        High while a frame is answered.
    interrupt : Out(1)
        The accelerator's.
    """

    def __init__(
        self, machine: MachineConfig, *, memory_bytes: int, clock_hz: int, divisor: int
    ) -> None:
        beats = memory_bytes // BEAT_BYTES
        self._accelerator = Accelerator(machine)
        self._memory = BoardMemory(beats)
        self._link = HostLink(beats, clock_hz)
        self._receiver = UartReceiver(divisor)
        self._transmitter = UartTransmitter(divisor)
        super().__init__({"rx": In(1), "tx": Out(1), "active": Out(1), "interrupt": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.accelerator = accelerator = self._accelerator
        m.submodules.memory = memory = self._memory
        m.submodules.link = link = self._link
        m.submodules.receiver = receiver = self._receiver
        m.submodules.transmitter = transmitter = self._transmitter
        connect(m, accelerator.m_axi, memory.bus)
        connect(m, link.memory, memory.host)
        connect(m, link.registers, accelerator.s_axil)
        connect(m, link.sent, transmitter.data)
        m.d.comb += [
            receiver.line.eq(self.rx),
            link.received.eq(receiver.data),
            link.received_valid.eq(receiver.valid),
            self.tx.eq(transmitter.line),
            self.active.eq(link.active),
            self.interrupt.eq(accelerator.interrupt),
        ]
        return m
