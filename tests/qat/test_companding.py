# SPDX-License-Identifier: Apache-2.0
"""Learnt companding, against the compression written out in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tritone.qat.companding import INTERVALS, Companding

THETA = np.linspace(1.5, -1.0, INTERVALS) + np.sin(np.arange(INTERVALS)) / 2


def slopes(theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return gamma and the value of f at the borders of the intervals."""
    parts = np.exp(theta) / np.exp(theta).sum()
    return parts * INTERVALS, np.concatenate([[0], np.cumsum(parts)])


def compress(v: float, theta: np.ndarray) -> float:
    """f of a magnitude."""
    _, heights = slopes(theta)
    return float(np.interp(v, np.arange(INTERVALS + 1) / INTERVALS, heights))


def expand(c: float, theta: np.ndarray) -> float:
    """f's inverse."""
    _, heights = slopes(theta)
    return float(np.interp(c, heights, np.arange(INTERVALS + 1) / INTERVALS))


def build(bits: int) -> Companding:
    """Return one with the slopes above."""
    companding = Companding(bits)
    with torch.no_grad():
        companding.theta.copy_(torch.from_numpy(THETA))
    return companding


@pytest.mark.parametrize("bits", [2, 3, 4, 6])
def test_levels(bits: int) -> None:
    """expand(round(n f(|u|)) / n) with the sign of u; the ends stay the ends."""
    top = 2 ** (bits - 1) - 1
    u = np.linspace(-1.25, 1.25, 1001) + 1e-4
    theta = THETA.astype(np.float32).astype(float)
    found = build(bits)(torch.tensor(u, dtype=torch.float32)).detach().double().numpy()
    for x, level in zip(u, found, strict=True):
        scaled = top * compress(min(abs(x), 1), theta)
        if abs(scaled % 1 - 0.5) > 1e-4:  # a tie may fall either way in float32
            wanted = expand(round(scaled) / top, theta) * np.sign(x)
            assert abs(level - wanted) < 2e-6
    assert len(np.unique(np.round(found, 5))) == 2 * top + 1


def test_starts_uniform() -> None:
    """Equal slopes are no companding at all."""
    values = Companding(4)(torch.tensor([0.5, -0.36, 1.0, 0.0]))
    expected = np.array([4 / 7, -3 / 7, 1, 0])  # 3.5 is a tie, which goes to the lower level
    expected[0] = 3 / 7
    assert np.abs(values.detach().numpy() - expected).max() < 1e-6


def test_gradients() -> None:
    """Rounding passed straight through: finite differences of expand(f(u) + r) with the constant
    r of the rounding, in u and in every theta."""
    companding = build(3)
    theta = companding.theta.detach().double().numpy()
    for x in (0.1, 0.17, 0.33, -0.41):
        companding.theta.grad = None
        u = torch.tensor(x, requires_grad=True)
        companding(u).backward()
        c = compress(abs(x), theta)
        remainder = np.ceil(3 * c - 0.5) / 3 - c
        assert 0.3 < c + remainder < 0.7, "a level that does not end the range"

        def smooth(v: float, slopes: np.ndarray, r: float = remainder, s: float = x) -> float:
            return expand(compress(abs(v), slopes) + r, slopes) * np.sign(s)

        h = 1e-6
        du = (smooth(x + h, theta) - smooth(x - h, theta)) / (2 * h)
        assert u.grad is not None
        assert abs(u.grad.item() - du) < 1e-4
        assert companding.theta.grad is not None
        for index, found in enumerate(companding.theta.grad.tolist()):
            step = h * np.eye(INTERVALS)[index]
            dtheta = (smooth(x, theta + step) - smooth(x, theta - step)) / (2 * h)
            assert abs(found - dtheta) < 1e-4


def test_nothing_passes_outside() -> None:
    """What is clipped has no gradient."""
    u = torch.tensor([1.5, -1.01], requires_grad=True)
    build(4)(u).sum().backward()
    assert u.grad is not None
    assert u.grad.tolist() == [0, 0]


def test_refuses_one_bit() -> None:
    """There is no level between the outer ones."""
    with pytest.raises(ValueError, match=r"^Companding must have at least 2 bits, not 1$"):
        Companding(1)
