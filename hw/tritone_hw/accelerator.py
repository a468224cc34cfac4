# SPDX-License-Identifier: Apache-2.0
"""The whole machine."""

from __future__ import annotations

from amaranth.hdl import Module
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from tritone.spec.machine import MachineConfig
from tritone_hw.axi import AXI, AXI_LITE
from tritone_hw.dma import Dma
from tritone_hw.engine import Engine
from tritone_hw.registers import SETTINGS, Registers
from tritone_hw.sequencer import Sequencer

__all__ = ["Accelerator"]


class Accelerator(Component):
    """Host port, sequencer, transfers and layer engine.

    Parameters
    ----------
    machine : shape of the machine.

    Members
    -------
    s_axil : AXI4-Lite subordinate, the registers of ``tritone.spec.regmap``.
    m_axi : AXI4 manager: program, parameters, images, results.
    interrupt : high while enabled and done or stopped by an error.
    """

    def __init__(self, machine: MachineConfig) -> None:
        self.machine = machine
        super().__init__({"s_axil": In(AXI_LITE), "m_axi": Out(AXI), "interrupt": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.registers = registers = Registers(self.machine)
        m.submodules.sequencer = sequencer = Sequencer(self.machine)
        m.submodules.dma = dma = Dma(self.machine)
        m.submodules.engine = engine = Engine(self.machine)

        connect(m, flipped(self.s_axil), registers.bus)
        connect(m, dma.bus, flipped(self.m_axi))
        connect(m, sequencer.load, dma.load)
        connect(m, sequencer.store, dma.store)
        connect(m, sequencer.layer, engine.layer)
        connect(m, dma.program_write, sequencer.program_write)
        connect(m, dma.memory_write, engine.memory_write)
        connect(m, dma.feature_write, engine.feature_write)
        connect(m, dma.feature_read, engine.feature_read)

        m.d.comb += [
            self.interrupt.eq(registers.interrupt),
            registers.stop.eq(sequencer.stop),
            registers.error.eq(sequencer.error),
            registers.instruction.eq(sequencer.instruction),
            registers.image_done.eq(sequencer.image_done),
            registers.array_step.eq(engine.array_step),
            registers.read_beat.eq(dma.read_beat),
            registers.write_beat.eq(dma.write_beat),
            sequencer.start.eq(registers.start),
            sequencer.dump.eq(registers.dump),
            sequencer.loading.eq(dma.loading),
            sequencer.storing.eq(dma.storing),
            sequencer.store_end.eq(dma.store_end),
            sequencer.read_error.eq(dma.read_error),
            sequencer.write_error.eq(dma.write_error),
            sequencer.layer_busy.eq(engine.busy),
            dma.feature_data.eq(engine.feature_data),
            dma.feature_data_valid.eq(engine.feature_data_valid),
        ]
        m.d.comb += [getattr(sequencer, name).eq(getattr(registers, name)) for name in SETTINGS]
        return m
