# SPDX-License-Identifier: Apache-2.0
"""What a consumer reads of a real tensor, against the equations written out.

Steps, inputs and gradients are dyadic and delta is a sixteenth of the span, so that float32 is
exact, in whatever order it sums, and ``==`` holds.
"""

from __future__ import annotations

from fractions import Fraction
from math import floor

import numpy as np
import pytest
import torch

from tritone.qat import reading
from tritone.qat.estimators import Blending, ElementwiseScaling, Estimator, StraightThrough
from tritone.qat.reading import Grid, StepRule, compose, levels, read_values
from tritone.spec.fixed import FINE_STREAM, STREAM

GRIDS = [Grid(bits=bits, zero=0) for bits in range(1, 9)]
GRIDS += [Grid(bits=bits, zero=128) for bits in range(2, 9)]
GRIDS += [Grid(bits=bits, zero=0, form=FINE_STREAM) for bits in range(1, 9)]
GRIDS += [Grid(bits=bits, zero=2048, form=FINE_STREAM) for bits in range(2, 9)]


def read(v: Fraction, grid: Grid) -> int:
    """Return a - z_a of ``v`` stream steps, by the definition of docs/numerics.md."""
    width = 8 if grid.form is STREAM else 12
    r = width - grid.bits
    u = min(max(floor(v + Fraction(1, 2)) + grid.zero, 0), 2**width - 1)
    z_a = grid.zero >> r
    a = z_a + ((u - grid.zero + (1 << r >> 1)) >> r)
    return min(max(a, 0), 2**grid.bits - 1) - z_a


@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_levels_round_twice(grid: Grid) -> None:
    """Every eighth of a stream step in and around the range, and the floats beside the halves."""
    fine = grid.form is FINE_STREAM
    # Of 12-bit codes every 71st eighth, which meets all eighths of a step, and all halves.
    eighths = np.arange(-18000, 36000, 71) if fine else np.arange(-1200, 2400)
    first, last = (-2100, 4150) if fine else (-130, 260)
    halves = np.arange(first, last, dtype=np.float32) + np.float32(0.5)
    near = [np.nextafter(halves, np.float32(end)) for end in (-np.inf, np.inf)]
    v = np.concatenate([eighths.astype(np.float32) / 8, *near])
    expected = [read(Fraction(float(each)), grid) for each in v]
    step = torch.tensor(2.0 ** (grid.shift - 5))
    found = levels(torch.from_numpy(v) * 2.0**-5, step, grid)
    # In float32 the number before 1/2 plus 1/2 is 1: the one input that is rounded away.
    exempt = np.nextafter(np.float32(0.5), np.float32(0))
    wrong = [v[i] for i in range(len(v)) if found[i].item() != expected[i] and v[i] != exempt]
    assert wrong == []


def random_case(grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Return x in steps of the grid, in quarters, and upstream gradients, inside and outside."""
    generator = np.random.default_rng(grid.bits + grid.zero)
    span = grid.high - grid.low + 4
    n = generator.integers(4 * grid.low - span, 4 * grid.high + span, (4, 4, 2, 2)) / 4
    return n, generator.integers(-3, 4, n.shape).astype(float)


def estimators(grid: Grid) -> list[Estimator]:
    scaled = ElementwiseScaling()
    scaled.delta.fill_((grid.high - grid.low) / 16)
    return [StraightThrough(), scaled]


@pytest.mark.parametrize("fused", [False, True], ids=["composed", "fused"])
@pytest.mark.parametrize("rule", StepRule)
@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_gradients(
    grid: Grid, rule: StepRule, fused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """dx and the gradient of S of every rule, with and without EWGS, also in several blocks."""
    monkeypatch.setattr(reading, "BLOCK", 10)
    step = 2.0**-6
    n, upstream = random_case(grid)
    v = n * 2**grid.shift
    level = np.array([read(Fraction(each), grid) for each in v.flat]).reshape(v.shape)
    inside = (n >= grid.low) & (n <= grid.high)
    assert inside.any()
    assert not inside.all()
    for estimator in estimators(grid):
        x = torch.tensor(v * step, dtype=torch.float32, requires_grad=True)
        grid_step = torch.tensor(step * 2**grid.shift, requires_grad=True)
        how = read_values if fused else compose
        values = how(x, grid_step, grid, rule, estimator)
        values.backward(torch.tensor(upstream, dtype=torch.float32))
        away = 0 if isinstance(estimator, StraightThrough) else 1 / 16
        dx = np.where(inside, upstream + away * abs(upstream) * (n - level), 0)
        moved = {
            StepRule.LSQ: upstream * level - dx * n,
            StepRule.PACT: np.where(inside, 0, upstream * level),
            StepRule.EWGS: -dx * n,
        }[rule]
        assert type(values.grad_fn).__name__.startswith("Fused") == fused
        assert values.tolist() == (level * step * 2**grid.shift).tolist()
        assert x.grad is not None
        assert grid_step.grad is not None
        assert x.grad.tolist() == dx.tolist()
        assert grid_step.grad.item() == moved.sum()


def test_fused_values_are_those_of_the_composition() -> None:
    """Random floats: not a bit differs; dx is the composition's G * S / S without its roundings."""
    generator = torch.Generator().manual_seed(1)
    grid = Grid(bits=4, zero=0)
    x = torch.randn(3, 5, 7, 11, generator=generator)
    upstream = torch.randn(x.shape, generator=generator)
    step = torch.tensor(0.1234)
    found = []
    for how in (compose, read_values):
        each = x.clone().requires_grad_()
        values = how(each, step.clone().requires_grad_(), grid, StepRule.LSQ, StraightThrough())
        values.backward(upstream)
        found.append((values, each.grad))
    assert torch.equal(found[0][0], found[1][0])
    inside = (x >= 0) & (x / step <= 15)
    assert torch.equal(found[1][1], upstream * inside)
    # Two roundings of at most 2**-24 each.
    assert torch.allclose(found[0][1], found[1][1], rtol=2**-22, atol=0)


@pytest.mark.parametrize("upstream_last", [False, True])
@pytest.mark.parametrize("rule", StepRule)
def test_channels_last_tensors_stay_as_they_lie(
    rule: StepRule, upstream_last: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Values and gradients are those of the usual order; what is made lies as x does."""
    monkeypatch.setattr(reading, "BLOCK", 10)
    grid = Grid(bits=3, zero=0)
    n, upstream = random_case(grid)
    found = []
    for layout in (torch.contiguous_format, torch.channels_last):
        x = torch.tensor(n, dtype=torch.float32).contiguous(memory_format=layout).requires_grad_()
        step = torch.tensor(1.0, requires_grad=True)
        values = read_values(x, step, grid, rule, StraightThrough())
        assert values.is_contiguous(memory_format=layout)
        gradient = torch.tensor(upstream, dtype=torch.float32)
        if upstream_last:
            gradient = gradient.contiguous(memory_format=torch.channels_last)
        values.backward(gradient)
        assert x.grad is not None
        assert step.grad is not None
        found.append((values.tolist(), x.grad.tolist(), step.grad.item()))
    assert found[0] == found[1]


@pytest.mark.parametrize("rule", StepRule)
def test_a_second_derivative_goes_through_the_fused_form(rule: StepRule) -> None:
    """For a loss of values**4 the product of Hessian and vector is that of the composition."""
    grid = Grid(bits=3, zero=0)
    products = []
    for how in (compose, read_values):
        x = torch.tensor([0.25, 0.75, 1.5, 3.0, -1.0, 40.0], requires_grad=True)
        step = torch.tensor(0.5, requires_grad=True)
        scaled = ElementwiseScaling()
        scaled.delta.fill_(7 / 16)
        values = how(x, step, grid, rule, scaled)
        loss = (values**4).sum()
        first = torch.autograd.grad(loss, (x, step), create_graph=True)
        products.append(
            torch.autograd.grad(first[0].sum() + first[1], (x, step), allow_unused=True)
        )
    assert products[0][0].tolist() == products[1][0].tolist()
    assert products[0][1].item() == products[1][1].item()
    assert products[0][0].abs().sum() > 0


def test_an_estimator_that_needs_levels_is_composed() -> None:
    """Blending at its start is no rounding at all; a recording EWGS sees the levels."""
    grid = Grid(bits=4, zero=0)
    x, step = torch.tensor([0.3, 0.7], requires_grad=True), torch.tensor(0.5)
    blended = read_values(x, step, grid, StepRule.LSQ, Blending())
    assert blended.tolist() == x.tolist()
    recording = ElementwiseScaling()
    recording.recorded = []
    read_values(x, step, grid, StepRule.LSQ, recording)
    ((read_levels, span),) = recording.recorded
    assert (read_levels.tolist(), span) == ([1.0, 1.0], 15)
