# SPDX-License-Identifier: Apache-2.0
"""Samples of training images."""

from __future__ import annotations

import torch

from tritone.qat.sample import sample


def test_every_class_of_a_sorted_set_is_there() -> None:
    """128 of a thousand images, a hundred of each class: about 13 of each, none twice."""
    images = torch.arange(1000)
    found = sample(images, 128)
    assert len(set(found.tolist())) == len(found) == 128
    shares = torch.bincount(found // 100, minlength=10)
    # Five standard deviations of the hypergeometric distribution, 3.2 each.
    assert shares.min() > 0
    assert shares.max() < 13 + 16


def test_the_order_is_always_the_same() -> None:
    """Of as many images; a larger sample begins with the smaller one, and all may be asked for."""
    images = torch.arange(50)
    kept = torch.get_rng_state()
    few = sample(images, 20)
    assert torch.equal(sample(images, 30)[:20], few)
    assert torch.equal(sample(images * 3, 20), few * 3)
    assert torch.equal(sample(images, 99).sort().values, images)
    assert torch.equal(torch.get_rng_state(), kept)
