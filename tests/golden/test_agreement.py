# SPDX-License-Identifier: Apache-2.0
"""Comparisons of models count and name what differs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tritone.golden import agreement, fast, layers
from tritone.golden.agreement import compare_layers, compare_logits
from tritone.graph import Network


@pytest.fixture
def network(random_network: Callable[..., Network], spec: Any) -> Network:
    """Three classes behind two layers."""
    return random_network((2, 5, 5), [spec(out=4), spec(out=3, kernel=(3, 3), wide=True)], seed=2)


def draw_images(network: Network, count: int) -> Any:
    """Return random images."""
    shape = (count, *network.tensors["input"].shape)
    return np.random.default_rng(5).integers(0, 256, shape, np.uint8)


def test_equal_logits(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    """Logits of the slow model are equal for all images, in chunks too; progress is told."""
    monkeypatch.setattr(agreement, "_CHUNK", 3)
    images = draw_images(network, 7)
    logits = layers.run(network, images)[network.output].reshape(7, 3)
    seen: list[int] = []
    found = compare_logits(network, images, logits, seen.append)
    assert (found.images, found.equal, found.logits, found.mismatches) == (7, 7, 21, 0)
    assert found.first is None
    assert (found.logits_of == logits).all()
    assert seen == [3, 6, 7]


def test_different_logits(network: Network) -> None:
    """Two logits of image 2 and one of image 5: three mismatches, five equal images of seven."""
    images = draw_images(network, 7)
    logits = layers.run(network, images)[network.output].reshape(7, 3)
    logits[2, 0] += 1
    logits[2, 2] -= 4
    logits[5, 1] += 70_000  # the same in 16 bits but for 4464
    found = compare_logits(network, images, logits)
    assert (found.equal, found.mismatches, found.first) == (5, 3, 2)


def test_logits_that_wrap_are_different(network: Network) -> None:
    """A logit that differs by 2**16 is not the same one."""
    images = draw_images(network, 2)
    logits = layers.run(network, images)[network.output].reshape(2, 3)
    logits[1, 1] += 1 << 16
    assert compare_logits(network, images, logits).equal == 1


def test_what_is_refused(network: Network) -> None:
    """Another number of classes or images, and floats."""
    images = draw_images(network, 2)
    for shape in ((2, 4), (3, 3), (6,)):
        with pytest.raises(ValueError, match=r"^Logits must have the shape \(2, 3\), not \("):
            compare_logits(network, images, np.zeros(shape, np.int64))
    with pytest.raises(TypeError, match=r"^Logits must be integers, not float32$"):
        compare_logits(network, images, np.zeros((2, 3), np.float32))


def test_layers(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    """All values of all tensors count; the first tensor that differs is named."""
    images = draw_images(network, 2)
    found = compare_layers(network, images)
    # 2x5x5 bytes, 4 channels of 3x3, 3 logits.
    assert (found.images, found.values) == (2, 2 * (50 + 36 + 3))
    assert (found.mismatches, found.tensor) == (0, None)

    right = fast.run(network, images)
    wrong = {name: values.copy() for name, values in right.items()}
    hidden, logits = (node.output for node in network.nodes)
    wrong[hidden][1, 3, 2, 2] += 1
    wrong[logits] += 1
    monkeypatch.setattr(fast, "run", lambda *_: wrong)
    found = compare_layers(network, images)
    assert (found.mismatches, found.tensor) == (1 + 2 * 3, hidden)
