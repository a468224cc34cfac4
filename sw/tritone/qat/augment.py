# SPDX-License-Identifier: Apache-2.0
"""Changes to training images that do not change their class."""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["augment_images", "crop_images", "flip_images", "shift_images"]

# Random resized crops: width over height, and how often one is drawn until it fits.
_RATIO = 4 / 3
_TRIES = 10


def augment_images(
    images: Tensor, crop: float, shift: int, flip: bool, generator: torch.Generator
) -> Tensor:
    """Return images (N, C, H, W) as a training step sees them: cropped, moved, mirrored."""
    images = shift_images(crop_images(images, crop, generator), shift, generator)
    return flip_images(images, generator) if flip else images


def crop_images(images: Tensor, smallest: float, generator: torch.Generator) -> Tensor:
    """Return images (N, C, H, W) of which a part of each is scaled to the size of the whole.

    The part has ``smallest``..1 of the pixels and a width of 3/4..4/3 of its height, evenly in the
    logarithm, anywhere in the image (Szegedy et al., arXiv 1409.4842). The first of 10 that fits is
    taken, else the largest one in the middle with such a width. Scaling is bilinear, pixels are
    rounded half up.

    Parameters
    ----------
    images : bytes.
    smallest : above 0; 1: images stay as they are, and nothing is drawn.
    """
    if smallest == 1:
        return images
    count, _, height, width = images.shape
    drawn = torch.rand((4, _TRIES, count), generator=generator, dtype=torch.float64)
    area = (smallest + (1 - smallest) * drawn[0]) * height * width
    ratio = torch.exp((2 * drawn[1] - 1) * math.log(_RATIO))
    sizes = [(area / ratio).sqrt().round().long(), (area * ratio).sqrt().round().long()]
    fits = (sizes[0] >= 1) & (sizes[0] <= height) & (sizes[1] >= 1) & (sizes[1] <= width)
    # Without one that fits argmax is 0, which is not used then.
    first = fits.int().argmax(0, keepdim=True)
    some = fits.any(0)
    largest = (min(height, round(width * _RATIO)), min(width, round(height * _RATIO)))
    result = images
    for axis, extent in ((2, height), (3, width)):
        size = torch.where(some, sizes[axis - 2].gather(0, first)[0], largest[axis - 2])
        place = drawn[axis].gather(0, first)[0]
        start = torch.where(some, (place * (extent - size + 1)).long(), (extent - size) // 2)
        result = _resample(result, axis, start, size)
    return (result + 0.5).floor().to(images.dtype)


def _resample(images: Tensor, axis: int, start: Tensor, size: Tensor) -> Tensor:
    """Return ``size`` rows or columns from ``start`` on of each image, scaled to all of them."""
    extent = images.shape[axis]
    centre = (torch.arange(extent) + 0.5) * (size / extent).unsqueeze(1) - 0.5  # (N, extent)
    centre = centre.clamp(torch.zeros(()).double(), (size - 1).unsqueeze(1).double())
    low = centre.floor()
    high = torch.minimum(low + 1, (size - 1).unsqueeze(1))
    shape = [len(images), 1, 1, 1]
    shape[axis] = extent

    def pick(index: Tensor) -> Tensor:
        index = (index.long() + start.unsqueeze(1)).view(shape).to(images.device)
        return images.gather(axis, index.expand_as(images)).float()

    part = (centre - low).float().view(shape).to(images.device)
    return torch.lerp(pick(low), pick(high), part)


def shift_images(images: Tensor, limit: int, generator: torch.Generator) -> Tensor:
    """Return images (N, C, H, W), each moved by -limit..limit pixels in y and in x, 0 coming in."""
    if limit == 0:
        return images
    count, _, height, width = images.shape
    device = images.device
    offsets = torch.randint(0, 2 * limit + 1, (2, count, 1), generator=generator).to(device)
    padded = torch.nn.functional.pad(images, (limit, limit, limit, limit))
    rows = offsets[0] + torch.arange(height, device=device)  # (N, H)
    columns = offsets[1] + torch.arange(width, device=device)  # (N, W)
    which = torch.arange(count, device=device).view(-1, 1, 1)
    # Advanced indices around the sliced channels come first: (N, H, W, C).
    return padded[which, :, rows.unsqueeze(2), columns.unsqueeze(1)].permute(0, 3, 1, 2)


def flip_images(images: Tensor, generator: torch.Generator) -> Tensor:
    """Return images (N, C, H, W), each one mirrored left to right or not, with equal chances."""
    mirrored = (torch.rand(len(images), generator=generator) < 0.5).to(images.device)
    return torch.where(mirrored.view(-1, 1, 1, 1), images.flip(3), images)
