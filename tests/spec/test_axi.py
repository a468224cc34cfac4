# SPDX-License-Identifier: Apache-2.0
"""The choices of spec.axi are such that AXI allows them."""

from tritone.spec.axi import BURST_BEATS, PAGE_BYTES, Response
from tritone.spec.machine import BEAT_BYTES


def test_aligned_bursts_end_at_pages() -> None:
    """A burst that ends at a multiple of BURST_BEATS beats crosses no page of 4 KiB."""
    assert PAGE_BYTES == 4096
    assert PAGE_BYTES % (BURST_BEATS * BEAT_BYTES) == 0
    assert BURST_BEATS <= 256


def test_errors_have_the_upper_bit() -> None:
    """The gateware looks at that bit alone."""
    assert {response for response in Response if response & 2} == {
        Response.SLVERR,
        Response.DECERR,
    }
