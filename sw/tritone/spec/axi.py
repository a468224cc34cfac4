# SPDX-License-Identifier: Apache-2.0
"""What the machine uses of AMBA AXI (ARM IHI 0022): widths, bursts, attributes and responses."""

from __future__ import annotations

from enum import IntEnum

__all__ = [
    "ADDRESS_BITS",
    "BURST_BEATS",
    "CACHE_NORMAL",
    "ID_BITS",
    "LITE_DATA_BITS",
    "PAGE_BYTES",
    "PROTECTION",
    "Burst",
    "Response",
]

ADDRESS_BITS = 32  # of both ports; external memory is at most 4 GiB
ID_BITS = 4  # all transfers have identifier 0, so that they stay in order
LITE_DATA_BITS = 32

# Bursts end at multiples of this many beats, hence at the end of every page: none may cross one.
BURST_BEATS = 16
PAGE_BYTES = 4096

CACHE_NORMAL = 0b0011  # AxCACHE: normal memory, bufferable, not cached
PROTECTION = 0b000  # AxPROT: unprivileged, secure, data


class Burst(IntEnum):
    """AxBURST."""

    FIXED = 0
    INCR = 1
    WRAP = 2


class Response(IntEnum):
    """RRESP and BRESP; the upper bit means an error."""

    OKAY = 0
    EXOKAY = 1
    SLVERR = 2
    DECERR = 3
