# SPDX-License-Identifier: Apache-2.0
"""The accelerator on the pins of a board."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

from amaranth.hdl import Elaboratable, Module
from amaranth.lib.io import Buffer
from amaranth.vendor import LatticePlatform

from tritone.spec.machine import MachineConfig
from tritone_hw.board.catalog import Board
from tritone_hw.board.hosted_accelerator import HostedAccelerator
from tritone_hw.emit import to_verilog

__all__ = ["ACCELERATOR_PATH", "BoardDesign", "BoardTop", "board_design"]

_TOP = "top"

# Of the accelerator in the design, from the top module on.
ACCELERATOR_PATH = f"{_TOP}.hosted.accelerator"


class BoardTop(Elaboratable):
    """HostedAccelerator on a serial port and a light; clock and reset are the platform's.

    What the board wants high is high.

    Parameters
    ----------
    board : whose platform it is elaborated with.
    hosted : what is put on it.
    """

    def __init__(self, board: Board, hosted: HostedAccelerator) -> None:
        self._board = board
        self._hosted = hosted

    def elaborate(self, platform: LatticePlatform) -> Module:
        m = Module()
        m.submodules.hosted = hosted = self._hosted
        uart = platform.request("uart", dir="-")
        name, *colour = self._board.led
        lights = platform.request(name, dir="-")
        m.submodules.rx = rx = Buffer("i", uart.rx)
        m.submodules.tx = tx = Buffer("o", uart.tx)
        m.submodules.led = led = Buffer("o", reduce(getattr, colour, lights))
        m.d.comb += [
            hosted.rx.eq(rx.i),
            tx.o.eq(hosted.tx),
            led.o.eq(hosted.active),
        ]
        for held in self._board.held_high:
            name = "_".join(held)
            m.submodules[name] = high = Buffer("o", platform.request(name, dir="-"))
            m.d.comb += high.o.eq(1)
        return m


@dataclass(frozen=True, kw_only=True)
class BoardDesign:
    """A design for a board, ready for synthesis.

    Parameters
    ----------
    top : name of the top module.
    verilog : the text.
    constraints : pins and clock, in the language of nextpnr-ecp5 (LPF).
    clock_hz : the clock.
    speed : grade of the device.
    """

    top: str
    verilog: str
    constraints: str
    clock_hz: int
    speed: int


def board_design(machine: MachineConfig, board: Board) -> BoardDesign:
    """Return ``machine`` on ``board``, with the array in the cells of its device.

    Raises
    ------
    ModuleNotFoundError : amaranth-boards is not installed.
    """
    platform = board.platform()
    clock_hz = round(platform.default_clk_frequency)
    hosted = HostedAccelerator(
        machine,
        memory_bytes=board.memory_bytes,
        clock_hz=clock_hz,
        divisor=board.divisor(clock_hz),
    )
    files = platform.prepare(BoardTop(board, hosted), _TOP, emit_src=False).files
    return BoardDesign(
        top=_TOP,
        verilog=to_verilog(_text(files[f"{_TOP}.il"])),
        constraints=_text(files[f"{_TOP}.lpf"]),
        clock_hz=clock_hz,
        speed=int(platform.speed),
    )


def _text(content: str | bytes) -> str:
    return content if isinstance(content, str) else content.decode()
