# SPDX-License-Identifier: Apache-2.0
"""tritone_hw.board.board_top: the machine on pins."""

from __future__ import annotations

import re

import pytest

from tritone.spec.machine import preset
from tritone_hw.board.board_top import ACCELERATOR_PATH, board_design
from tritone_hw.board.catalog import board

pytest.importorskip("amaranth_boards", reason="missing: pip install -e '.[board]'")

# Pins of clock, rx, tx, light and of the ESP32 (wifi_gpio0), by the schematics of ULX3S v3 and
# OrangeCrab r0.2 (GPIO 0, 1), which has none.
PINS = {
    "ulx3s_85f": {"G2", "M1", "L4", "B2", "L2"},
    "orangecrab_r0_2_85f": {"A9", "N17", "M18", "M3"},
}


@pytest.mark.parametrize(
    ("name", "megahertz", "speed"), [("ulx3s_85f", 25, 6), ("orangecrab_r0_2_85f", 48, 8)]
)
def test_pins_and_clock(name: str, megahertz: int, speed: int) -> None:
    """The constraints name the pins; the array is in cells of the device."""
    design = board_design(preset("tiny"), board(name))
    assert (
        set(re.findall(r'^LOCATE COMP "\S+" SITE "(\w+)";$', design.constraints, re.M))
        == (PINS[name])
    )
    ports = set(re.findall(r'^LOCATE COMP "(\S+)" SITE', design.constraints, re.M))
    header = re.search(r"^module top\(([^)]*)\)", design.verilog, re.M)
    assert header is not None
    assert set(header[1].split(", ")) == ports
    clock = re.search(r'^FREQUENCY PORT "(\S+)" ([\d.]+) HZ;$', design.constraints, re.M)
    assert clock is not None
    assert float(clock[2]) == 1e6 * megahertz
    assert (design.clock_hz, design.speed) == (1_000_000 * megahertz, speed)
    assert f"module \\{ACCELERATOR_PATH} (" in design.verilog
    assert "CCU2C" in design.verilog
    # What is at L2 is driven, and with a 1.
    for port in re.findall(r'^LOCATE COMP "(\S+)" SITE "L2";$', design.constraints, re.M):
        buffer = rf"\.{port}\({port}\),\n *\.o\((\S+)\),\n *\.t\((\S+)\)\n"
        assert re.findall(buffer, design.verilog) == [("1'h1", "1'h0")]
