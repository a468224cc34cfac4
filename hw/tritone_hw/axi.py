# SPDX-License-Identifier: Apache-2.0
"""Signatures of the AXI4 and AXI4-Lite ports, seen from the manager."""

from __future__ import annotations

from amaranth.lib.wiring import In, Member, Out, Signature

from tritone.spec.axi import ADDRESS_BITS, ID_BITS, LITE_DATA_BITS
from tritone.spec.machine import BEAT_BITS, BEAT_BYTES
from tritone.spec.regmap import REGISTER_ADDRESS_BITS

__all__ = ["AXI", "AXI_LITE", "AXI_READ", "AXI_WRITE"]


def _address_channel(prefix: str) -> dict[str, Member]:
    """Return the members of a read or write address channel of AXI4."""
    return {
        f"{prefix}id": Out(ID_BITS),
        f"{prefix}addr": Out(ADDRESS_BITS),
        f"{prefix}len": Out(8),
        f"{prefix}size": Out(3),
        f"{prefix}burst": Out(2),
        f"{prefix}lock": Out(1),
        f"{prefix}cache": Out(4),
        f"{prefix}prot": Out(3),
        f"{prefix}valid": Out(1),
        f"{prefix}ready": In(1),
    }


AXI_READ = Signature(
    _address_channel("ar")
    | {
        "rid": In(ID_BITS),
        "rdata": In(BEAT_BITS),
        "rresp": In(2),
        "rlast": In(1),
        "rvalid": In(1),
        "rready": Out(1),
    }
)

AXI_WRITE = Signature(
    _address_channel("aw")
    | {
        "wdata": Out(BEAT_BITS),
        "wstrb": Out(BEAT_BYTES),
        "wlast": Out(1),
        "wvalid": Out(1),
        "wready": In(1),
        "bid": In(ID_BITS),
        "bresp": In(2),
        "bvalid": In(1),
        "bready": Out(1),
    }
)

AXI = Signature({"write": Out(AXI_WRITE), "read": Out(AXI_READ)})

AXI_LITE = Signature(
    {
        "awaddr": Out(REGISTER_ADDRESS_BITS),
        "awprot": Out(3),
        "awvalid": Out(1),
        "awready": In(1),
        "wdata": Out(LITE_DATA_BITS),
        "wstrb": Out(LITE_DATA_BITS // 8),
        "wvalid": Out(1),
        "wready": In(1),
        "bresp": In(2),
        "bvalid": In(1),
        "bready": Out(1),
        "araddr": Out(REGISTER_ADDRESS_BITS),
        "arprot": Out(3),
        "arvalid": Out(1),
        "arready": In(1),
        "rdata": In(LITE_DATA_BITS),
        "rresp": In(2),
        "rvalid": In(1),
        "rready": Out(1),
    }
)
