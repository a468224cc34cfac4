# SPDX-License-Identifier: Apache-2.0
"""The serial ports of this computer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import serial
from serial.tools import list_ports

from tritone.host.link import Line
from tritone.spec.host_link import BAUD

__all__ = ["open_line"]

# A read that nothing answers ends so often, for its caller to look at the time.
_READ_SECONDS = 0.05


@contextmanager
def open_line(port: str, baud: int = BAUD) -> Iterator[Line]:
    """Open a serial port for as long as the context lasts.

    Parameters
    ----------
    port : its name, such as /dev/ttyUSB0.
    baud : bits a second.

    Raises
    ------
    ValueError : there is no such port, it cannot be opened, or has no such speed; the message names
        those that are there.
    """
    try:
        line = serial.Serial(port, baud, timeout=_READ_SECONDS)
    except (serial.SerialException, ValueError, OverflowError) as error:
        there = ", ".join(each.device for each in list_ports.comports()) or "none"
        raise ValueError(
            f"Port must be a serial port that opens at {baud} baud, not {port} ({_reason(error)}); "
            f"there are: {there}"
        ) from error
    with line:
        # A bridge to USB gathers bytes for 16 ms before it tells a short answer, if it may.
        with suppress(ValueError, NotImplementedError):
            line.set_low_latency_mode(True)
        yield line


def _reason(error: Exception) -> str:
    """Return what the system says, without pyserial's own words around it."""
    return str(error).rpartition("] ")[2].partition(": ")[0]
