# SPDX-License-Identifier: Apache-2.0
"""What a consumer reads."""

from __future__ import annotations

import pytest
import torch

from tritone.qat.streams import Stream, read


@pytest.mark.parametrize("zero", [0, 128])
@pytest.mark.parametrize("bits", range(1, 9))
def test_read_rounds_once_more(bits: int, zero: int) -> None:
    """All 256 codes: ``a = clamp(z_a + ((u - z + half(r)) >> r), 0, 2**b - 1)``, less z_a."""
    r = 8 - bits
    half = 2**r // 2
    expected = [
        min(max((zero >> r) + ((u - zero + half) >> r), 0), 2**bits - 1) - (zero >> r)
        for u in range(256)
    ]
    stream = Stream(torch.arange(256.0), torch.tensor(1.0), zero)
    assert read(stream, bits).tolist() == expected
