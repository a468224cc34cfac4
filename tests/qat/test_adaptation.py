# SPDX-License-Identifier: Apache-2.0
"""Streams read with an adaptive step, against the equations."""

from __future__ import annotations

from fractions import Fraction
from math import floor

import numpy as np
import pytest
import torch

from tritone.qat import reading
from tritone.qat.adaptation import AdaptedStream, CodeMean, adapted_levels
from tritone.qat.estimators import ElementwiseScaling, StraightThrough
from tritone.qat.reading import Grid
from tritone.qat.streams import Stream
from tritone.spec.fixed import FINE_STREAM, STREAM, StreamFormat


@pytest.mark.parametrize("bits", range(1, 8))
def test_levels_are_by_definition(bits: int) -> None:
    """All codes with betas at both ends, at 1 and between, by division of whole numbers."""
    codes = torch.arange(256.0).view(1, 1, 16, 16).expand(7, 1, 16, 16)
    exact = [512, 513, 777, 1024, 1500, 2047, 2048]
    beta = torch.tensor(exact).view(-1, 1, 1, 1) / 1024
    found = adapted_levels(codes.clone(), beta, Grid(bits=bits, zero=0, headroom=1))
    for image, whole in enumerate(exact):
        gain = floor(Fraction(2**18, whole) + Fraction(whole // 2, whole))
        expected = [
            min(floor(Fraction(u * gain, 2 ** (7 - bits + 8)) + Fraction(1, 2)), 2**bits - 1)
            for u in range(256)
        ]
        assert found[image].flatten().tolist() == expected


@pytest.mark.parametrize("bits", range(1, 9))
def test_levels_of_12_bit_codes_are_by_definition(bits: int) -> None:
    """The same with two bits of headroom and beta in 1/4..4."""
    grid = Grid(bits=bits, zero=0, headroom=2, form=FINE_STREAM)
    codes = torch.arange(4096.0).view(1, 1, 64, 64).expand(7, 1, 64, 64)
    exact = [256, 257, 513, 1024, 2048, 3001, 4095]
    beta = torch.tensor(exact).view(-1, 1, 1, 1) / 1024
    found = adapted_levels(codes.clone(), beta, grid)
    for image, whole in enumerate(exact):
        gain = (2**18 + whole // 2) // whole
        places = 10 - bits + 8
        # floor(u * gain / 2**places + 1/2) by long division.
        expected = [
            min((2 * u * gain + 2**places) // 2 ** (places + 1), 2**bits - 1) for u in range(4096)
        ]
        assert found[image].flatten().tolist() == expected


GRID = Grid(bits=2, zero=0, headroom=1)  # r = 5
FINE = Grid(bits=2, zero=0, headroom=2, form=FINE_STREAM)  # r = 8


@pytest.mark.parametrize("last", [False, True], ids=["", "channels last"])
@pytest.mark.parametrize("fused", [False, True], ids=["composed", "fused"])
@pytest.mark.parametrize("adapted", [True, False])
@pytest.mark.parametrize(
    ("grid", "bounds"), [(GRID, (0.5, 2.0)), (FINE, (0.25, 2.0))], ids=["8 bits", "12 bits"]
)
def test_gradients(
    grid: Grid,
    bounds: tuple[float, float],
    adapted: bool,
    fused: bool,
    last: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """dx, dS and dbeta of both dequantisations, with D as in the paper, in blocks of two images.

    beta is a power of two, S is 1/4 and x in sixteenths, so that all is exact.
    """
    generator = np.random.default_rng(2)
    real = generator.integers(-8, 40, (3, 2, 4, 4)) / 16
    upstream = generator.integers(-3, 4, real.shape).astype(float)
    s, betas = 0.25, np.array([bounds[0], 1.0, bounds[1]]).reshape(3, 1, 1, 1)
    monkeypatch.setattr(reading, "BLOCK", 70)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    x = torch.tensor(real, dtype=torch.float32)
    if last:
        x = x.contiguous(memory_format=torch.channels_last)
    x.requires_grad_()
    fine = 1 << grid.shift
    step = torch.tensor(s / fine, requires_grad=True)
    beta = torch.tensor(betas, dtype=torch.float32, requires_grad=True)
    # With delta = 0 this estimator is the straight-through one, written in operations of torch.
    estimator = StraightThrough() if fused else ElementwiseScaling()
    top = 255 if grid is GRID else 4095
    codes = torch.floor(x.detach() / step.detach() + 0.5).clamp(0, top)
    source = Stream(codes, step, 0, grid.form)
    stream = AdaptedStream(source, beta, grid, estimator, adapted, x)
    values = stream.values(2)
    assert type(values.grad_fn).__name__.startswith("Adapted") == fused
    values.backward(torch.tensor(upstream, dtype=torch.float32))

    v = real / (s * betas)
    inside = (v >= 0) & (v <= 3)
    level = np.clip(np.floor(v + 0.5), 0, 3)
    assert inside.any()
    assert not inside.all()
    worth = s * betas if adapted else np.full_like(betas, s)
    assert values.tolist() == (level * worth).tolist()
    if adapted:
        each = upstream * np.where(inside, level - v, level)
        dx, dstep = np.where(inside, upstream, 0), (each * betas).sum()
        dbeta = each.sum((1, 2, 3)) * s
    else:
        dx = np.where(inside, upstream / betas, 0)
        dstep = (upstream * np.where(inside, level - v, level)).sum()
        dbeta = (np.where(inside, -upstream * v, 0)).sum((1, 2, 3)) * s / betas.flatten()
    assert x.grad is not None
    assert step.grad is not None
    assert beta.grad is not None
    assert x.grad.tolist() == dx.tolist()
    assert step.grad.item() == dstep * fine
    assert beta.grad.flatten().tolist() == dbeta.tolist()


@pytest.mark.parametrize("adapted", [True, False])
def test_a_second_derivative_goes_through_the_fused_form(adapted: bool) -> None:
    """For a loss of values**4 the product of Hessian and ones is that of the composition."""
    products = []
    for estimator in (StraightThrough(), ElementwiseScaling()):
        x = torch.tensor([0.25, 0.75, 1.5, 3.0, -1.0, 40.0]).view(2, 1, 1, 3).requires_grad_()
        step = torch.tensor(0.5 / 32, requires_grad=True)
        beta = torch.tensor([0.5, 2.0]).view(2, 1, 1, 1).requires_grad_()
        codes = torch.floor(x.detach() / step.detach() + 0.5).clamp(0, 255)
        stream = AdaptedStream(Stream(codes, step, 0), beta, GRID, estimator, adapted, x)
        loss = (stream.values(2) ** 4).sum()
        first = torch.autograd.grad(loss, (x, step, beta), create_graph=True)
        total = sum(each.sum() for each in first)
        products.append(torch.autograd.grad(total, (x, step, beta)))
    for fused, composed in zip(*products, strict=True):
        assert fused.tolist() == composed.tolist()
        assert fused.abs().sum() > 0


@pytest.mark.parametrize("block", [20, 1 << 17])
@pytest.mark.parametrize(("form", "top"), [(STREAM, 255), (FINE_STREAM, 4095)])
def test_mean_of_codes(
    form: StreamFormat, top: int, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sums of rounded and clamped codes; dx is G / s where x/s is in 0..top, both included."""
    monkeypatch.setattr(reading, "BLOCK", block)
    generator = np.random.default_rng(3)
    eighths = generator.integers(-2 * top, 11 * top, (3, 2, 2, 4))
    eighths[0, 0, 0, :2] = 0, top * 8
    x = torch.tensor(eighths / 8 * 0.25, dtype=torch.float32, requires_grad=True)
    total = CodeMean.apply(x, torch.tensor(0.25), form)
    expected = np.clip(np.floor(eighths / 8 + 0.5), 0, top).sum((2, 3), keepdims=True)
    assert total.tolist() == expected.tolist()
    upstream = generator.integers(-3, 4, expected.shape)
    total.backward(torch.tensor(upstream, dtype=torch.float32))
    inside = (eighths >= 0) & (eighths <= top * 8)
    assert x.grad is not None
    assert x.grad.tolist() == (inside * upstream * 4.0).tolist()


def test_others_read_without_beta_and_pools_keep_it() -> None:
    """A reader of another width gets the codes' values; replaced codes are read with beta."""
    codes = torch.tensor([0.0, 40, 100, 255]).view(1, 1, 2, 2)
    step, beta = torch.tensor(0.5), torch.full((1, 1, 1, 1), 2.0)
    source = Stream(torch.zeros_like(codes), step, 0)
    stream = AdaptedStream(source, beta, GRID, StraightThrough(), True)
    pooled = stream.replace_codes(codes)
    assert pooled.values(8).flatten().tolist() == [0, 20, 50, 127.5]
    assert pooled.values(4).tolist() == Stream(codes, step, 0).values(4).tolist()
    assert pooled.values(2).flatten().tolist() == [0, 32, 64, 96]  # levels 0 1 2 3 of 2**5 * s * 2
