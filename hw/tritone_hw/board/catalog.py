# SPDX-License-Identifier: Apache-2.0
"""Boards that a bitstream is made for: their pins are those of amaranth-boards."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

from amaranth.build import Attrs, Resource
from amaranth.vendor import LatticePlatform

from tritone.spec.device import Device, device
from tritone.spec.host_link import BAUD

__all__ = ["BOARDS", "Board", "board"]


@dataclass(frozen=True, kw_only=True)
class Board:
    """A board with an ECP5.

    Parameters
    ----------
    name : as people name it on the command line.
    title : as its makers do.
    definition : module and class of amaranth-boards.
    device_name : its device, which says how much there is of everything.
    package : the device's package, in the notation of nextpnr.
    memory_bytes : of block memory that stands behind the accelerator's bus; a power of two.
    led : resource, and colour where it has some, that is lit while a frame is answered.
    uart_pins : rx and tx on the connector ``io``, where the board has no bridge to USB; seen from
        the board.
    held_high : resource and signal of each output that is always 1.
    """

    name: str
    title: str
    definition: tuple[str, str]
    device_name: str
    package: str
    memory_bytes: int
    led: tuple[str, ...]
    uart_pins: tuple[str, str] | None = None
    held_high: tuple[tuple[str, str], ...] = ()

    @property
    def device(self) -> Device:
        """Its device."""
        return device(self.device_name)

    def platform(self) -> LatticePlatform:
        """Return the platform, which can be asked for each of its pins once.

        A signal ``held_high`` is a resource of its own, <resource>_<signal>: whoever requests the
        whole resource takes all of its pins.

        Raises
        ------
        ModuleNotFoundError : amaranth-boards is not installed.
        """
        module, name = self.definition
        platform: Any = getattr(importlib.import_module(module), name)()
        if self.uart_pins is not None:
            from amaranth_boards.resources import UARTResource

            rx, tx = self.uart_pins
            attributes = Attrs(IO_TYPE="LVCMOS33")
            platform.add_resources(
                [UARTResource(0, rx=rx, tx=tx, conn=("io", 0), attrs=attributes)]
            )
        for name, signal in self.held_high:
            resource = platform.lookup(name)
            (part,) = (each for each in resource.ios if each.name == signal)
            attributes = Attrs(**{**resource.attrs, **part.attrs})
            platform.add_resources([Resource(f"{name}_{signal}", 0, *part.ios, attributes)])
        return platform

    def clock_hz(self) -> int:
        """Return the frequency of its oscillator; raises as ``platform`` does."""
        return round(self.platform().default_clk_frequency)

    def divisor(self, clock_hz: float, baud: int = BAUD) -> int:
        """Return the cycles of a bit of the serial line.

        Raises
        ------
        ValueError : the clock does not give so many bits a second within 2 %. Both ends sample the
            last of ten bits half a bit from its edges, so 5 % lose a byte.
        """
        cycles = round(clock_hz / baud)
        if not cycles or abs(clock_hz / cycles / baud - 1) > 0.02:
            raise ValueError(
                f"Baud rate must be {clock_hz:,.0f} Hz of {self.name} by a whole number, not {baud}"
            )
        return cycles


BOARDS = {
    each.name: each
    for each in (
        Board(
            name="ulx3s_85f",
            title="Radiona ULX3S with an LFE5U-85F",
            definition=("amaranth_boards.ulx3s", "ULX3S_85F_Platform"),
            device_name="ecp5-85k",
            package="CABGA381",
            memory_bytes=64 << 10,
            led=("led",),
            # wifi_gpio0: where it falls, the firmware that the ESP32 comes with configures the FPGA
            # anew with its own passthrough.
            held_high=(("esp32", "gpio0"),),
        ),
        Board(
            name="orangecrab_r0_2_85f",
            title="OrangeCrab r0.2 with an LFE5U-85F",
            definition=("amaranth_boards.orangecrab_r0_2", "OrangeCrabR0_2_85FPlatform"),
            device_name="ecp5-85k",
            package="CSFBGA285",
            memory_bytes=64 << 10,
            led=("rgb_led", "g"),
            uart_pins=("0", "1"),
        ),
    )
}


def board(name: str) -> Board:
    """Return the board of that name."""
    if name not in BOARDS:
        raise ValueError(f"Board must be one of {', '.join(BOARDS)}, not {name!r}")
    return BOARDS[name]
