# SPDX-License-Identifier: Apache-2.0
"""What a consumer reads."""

from __future__ import annotations

import pytest
import torch

from tritone.qat.estimators import ElementwiseScaling, NoiseProxy
from tritone.qat.reading import Grid, StepRule
from tritone.qat.streams import FreshStream, JoinedStream, Stream, read
from tritone.spec.fixed import FINE_STREAM, STREAMS


@pytest.mark.parametrize(("width", "zero"), [(8, 0), (8, 128), (12, 0), (12, 2048)])
@pytest.mark.parametrize("bits", range(1, 9))
def test_read_rounds_once_more(bits: int, width: int, zero: int) -> None:
    """All codes: ``a = clamp(z_a + ((u - z + half(r)) >> r), 0, 2**b - 1)``, less z_a."""
    r, count = width - bits, 1 << width
    half = 2**r // 2
    expected = [
        min(max((zero >> r) + ((u - zero + half) >> r), 0), 2**bits - 1) - (zero >> r)
        for u in range(count)
    ]
    stream = Stream(torch.arange(float(count)), torch.tensor(1.0), zero, STREAMS[width])
    assert read(stream, bits).tolist() == expected
    assert stream.values(bits).tolist() == [level * 2**r for level in expected]
    assert stream.values(width).tolist() == [u - zero for u in range(count)]


def test_concatenations_keep_the_width() -> None:
    """What is read of channels of 12-bit codes is what is read of each."""
    codes = torch.arange(4096.0).view(2, 2, 32, 32)
    parts = [Stream(each[None], torch.tensor(0.5), 0, FINE_STREAM) for each in codes]
    joined = JoinedStream(parts)
    assert joined.form is FINE_STREAM
    assert torch.equal(joined.values(4), torch.cat([each.values(4) for each in parts], 1))
    assert float(joined.values(4).max()) == 15 * 256 * 0.5


@pytest.mark.parametrize("rule", StepRule)
def test_consumers_read_together(rule: StepRule) -> None:
    """What is expected is read at once: the bits of values and gradients are those of one by one.

    A third consumer, of a width that was read already, reads by itself.
    """
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(4, 3, 5, 6, generator=generator) + 0.5
    upstream = [torch.randn(x.shape, generator=generator) for _ in range(2)]
    found = []
    for widths in ((), (4, 8)):
        each, step = x.clone().requires_grad_(), torch.tensor(0.07, requires_grad=True)
        scaling = ElementwiseScaling()
        scaling.delta.fill_(0.25)
        stream = FreshStream(each, step * 1.0, Grid(bits=4, zero=0), rule, scaling)
        stream.expect(widths)
        values = [stream.values(bits) for bits in (4, 8, 4)]
        torch.autograd.backward(values[:2], upstream)
        found.append([*values, each.grad, step.grad])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))
    assert not torch.equal(found[0][0], found[0][1])


def test_estimators_that_cannot_be_fused_read_one_by_one() -> None:
    """Noise is drawn for each consumer; what is expected changes nothing."""
    x = torch.linspace(-1, 3, 24).view(1, 2, 3, 4)
    found = []
    for widths in ((), (4, 8)):
        noise = NoiseProxy(seed=3)
        stream = FreshStream(x, torch.tensor(0.1), Grid(bits=4, zero=0), StepRule.LSQ, noise)
        stream.expect(widths)
        found.append([stream.values(bits) for bits in (8, 4)])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))
