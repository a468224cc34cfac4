# SPDX-License-Identifier: Apache-2.0
"""Augmentation."""

from __future__ import annotations

import torch

from tritone.qat.augment import flip_images, shift_images


def test_every_image_is_shifted_by_its_own_amount() -> None:
    """The pixel at (4, 3) lands within the limit, every shift occurs, and images stay apart."""
    count = 400
    images = torch.zeros(count, 2, 9, 8, dtype=torch.uint8)
    images[:, 0, 4, 3] = 7
    images[:, 1, 4, 3] = torch.arange(count).remainder(250).to(torch.uint8) + 1
    shifted = shift_images(images, 2, torch.Generator().manual_seed(0))
    assert shifted.shape == images.shape
    assert shifted.dtype == torch.uint8
    seen = set()
    for index, image in enumerate(shifted):
        ((y, x),) = image[0].nonzero().tolist()
        assert int(image[0, y, x]) == 7
        assert int(image[1, y, x]) == index % 250 + 1
        seen.add((y - 4, x - 3))
    assert seen == {(dy, dx) for dy in range(-2, 3) for dx in range(-2, 3)}


def test_zero_comes_in_at_the_border() -> None:
    """What moves in is byte 0; what moves out is gone."""
    images = torch.full((200, 1, 3, 3), 9, dtype=torch.uint8)
    shifted = shift_images(images, 1, torch.Generator().manual_seed(1))
    totals = {int((image > 0).sum()) for image in shifted}
    assert totals == {4, 6, 9}


def test_no_shift_is_the_identity() -> None:
    """Limit 0 takes no random numbers."""
    generator = torch.Generator().manual_seed(2)
    before = generator.get_state()
    images = torch.arange(9, dtype=torch.uint8).view(1, 1, 3, 3)
    assert torch.equal(shift_images(images, 0, generator), images)
    assert torch.equal(generator.get_state(), before)


def test_half_of_the_images_are_mirrored() -> None:
    """Each image is itself or its mirror image; of 1000, between 400 and 600 are mirrored.

    That is more than 6 standard deviations on both sides.
    """
    images = torch.arange(1000 * 2 * 3 * 4).view(1000, 2, 3, 4)
    flipped = flip_images(images, torch.Generator().manual_seed(0))
    mirror = torch.tensor([[[row[::-1] for row in c] for c in image] for image in images.tolist()])
    same = (flipped == images).flatten(1).all(1)
    other = (flipped == mirror).flatten(1).all(1)
    assert bool((same ^ other).all())
    assert 400 < int(other.sum()) < 600
