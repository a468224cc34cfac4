# SPDX-License-Identifier: Apache-2.0
"""Augmentation."""

from __future__ import annotations

import torch
from torch.nn import functional

from tritone.qat.augment import crop_images, flip_images, shift_images


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


def test_crops_are_scaled_parts() -> None:
    """Each result is one part of its image, found among all, as torch scales it.

    The two add up float32 in other orders, so a value next to a half may be one off; random bytes
    of other parts are farther away.
    """
    height, width, smallest = 9, 8, 0.3
    generator = torch.Generator().manual_seed(3)
    images = torch.randint(0, 256, (60, 2, height, width), generator=generator).to(torch.uint8)
    found = crop_images(images, smallest, generator)
    assert found.dtype == torch.uint8
    places, sizes = set(), set()
    boxes = [
        (y, x, h, w)
        for h in range(1, height + 1)
        for w in range(1, width + 1)
        for y in range(height - h + 1)
        for x in range(width - w + 1)
    ]
    scaled = []
    for y, x, h, w in boxes:
        part = images[:, :, y : y + h, x : x + w].float()
        scaled.append(functional.interpolate(part, (height, width), mode="bilinear"))
    for index, image in enumerate(found):
        off = torch.stack([(each[index] - image).abs().max() for each in scaled])
        assert int((off <= 1).sum()) == 1
        y, x, h, w = boxes[int(off.argmin())]
        # Sides are rounded, to half a pixel from what was drawn.
        assert (h + 0.5) * (w + 0.5) >= smallest * height * width
        assert (w + 0.5) / (h - 0.5) >= 3 / 4
        assert (w - 0.5) / (h + 0.5) <= 4 / 3
        places.add((y, x))
        sizes.add((h, w))
    assert len(places) > 15
    assert {h for h, _ in sizes} >= set(range(5, 10))
    assert max(h * w for h, w in sizes) > 0.9 * height * width


def test_crops_that_never_fit() -> None:
    """Of a strip the part in the middle, as wide as may be."""
    images = torch.arange(30).view(1, 1, 3, 10).expand(4, 1, 3, 10).to(torch.uint8)
    found = crop_images(images, 0.99, torch.Generator().manual_seed(0))
    expected = functional.interpolate(images[:, :, :, 3:7].float(), (3, 10), mode="bilinear")
    assert torch.equal(found, (expected + 0.5).floor().to(torch.uint8))


def test_no_crop_is_the_identity() -> None:
    """1 takes no random numbers; the same generator gives the same crops."""
    generator = torch.Generator().manual_seed(2)
    before = generator.get_state()
    images = torch.arange(64, dtype=torch.uint8).view(1, 1, 8, 8)
    assert torch.equal(crop_images(images, 1.0, generator), images)
    assert torch.equal(generator.get_state(), before)
    first, second = (crop_images(images, 0.1, torch.Generator().manual_seed(5)) for _ in range(2))
    assert torch.equal(first, second)
    assert not torch.equal(first, images)
