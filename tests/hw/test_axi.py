# SPDX-License-Identifier: Apache-2.0
"""The ports have the signals of AMBA AXI4 and AXI4-Lite (ARM IHI 0022, A2 and B1)."""

from amaranth.hdl import Shape
from amaranth.lib.wiring import Out, Signature

from tritone_hw.axi import AXI, AXI_LITE, AXI_READ, AXI_WRITE

MANAGER = {
    "ar": "id addr len size burst lock cache prot valid",
    "aw": "id addr len size burst lock cache prot valid",
    "w": "data strb last valid",
    "b": "ready",
    "r": "ready",
}
SUBORDINATE = {
    "ar": "ready",
    "aw": "ready",
    "w": "ready",
    "b": "id resp valid",
    "r": "id data resp last valid",
}
# AXI4-Lite has the same channels without bursts and identifiers.
NOT_LITE = {"arid", "arlen", "arsize", "arburst", "arlock", "arcache", "rid", "rlast"}
NOT_LITE |= {"awid", "awlen", "awsize", "awburst", "awlock", "awcache", "bid", "wlast"}


def names(channels: dict[str, str]) -> set[str]:
    """Return the signals of a table above."""
    return {channel + name for channel, signals in channels.items() for name in signals.split()}


def driven(signature: Signature, manager: bool) -> set[str]:
    """Return the members that the manager drives, or the others."""
    return {name for name, member in signature.members.items() if (member.flow is Out) == manager}


def test_axi4() -> None:
    """Both halves together are the bus."""
    assert driven(AXI_READ, True) | driven(AXI_WRITE, True) == names(MANAGER)
    assert driven(AXI_READ, False) | driven(AXI_WRITE, False) == names(SUBORDINATE)
    assert dict(AXI.members) == {"read": Out(AXI_READ), "write": Out(AXI_WRITE)}


def test_axi4_lite() -> None:
    """The register port has 32 bits."""
    assert driven(AXI_LITE, True) == names(MANAGER) - NOT_LITE
    assert driven(AXI_LITE, False) == names(SUBORDINATE) - NOT_LITE
    assert Shape.cast(AXI_LITE.members["wdata"].shape).width == 32
