# SPDX-License-Identifier: Apache-2.0
"""A folder of pictures, ``train/CLASS/*`` and ``val/CLASS/*``, as ImageNet comes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from tritone.qat.data import Dataset

__all__ = ["read_folder", "read_picture"]

# The crop is this share of the shorter side: 224 of 256.
CROP = 224 / 256
LIMIT_BYTES = 1 << 36
SUFFIXES = (".jpeg", ".jpg", ".png", ".bmp")


def read_folder(folder: Path, size: int) -> Dataset:
    """Return the pictures of a folder; val is the test set.

    Classes are numbered in the order of their names.

    Parameters
    ----------
    size : height and width of the images.

    Raises
    ------
    FileNotFoundError : a folder or its pictures are missing.
    ValueError : val has a class that train lacks, or the images do not fit into memory.
    """
    train = _pictures(folder / "train")
    test = _pictures(folder / "val")
    unknown = sorted(set(test) - set(train))
    if unknown:
        raise ValueError(f"Folder {folder / 'val'} must have classes of train, not {unknown[0]}")
    total = 3 * size * size * sum(len(paths) for part in (train, test) for paths in part.values())
    if total > LIMIT_BYTES:
        raise ValueError(
            f"Images of {folder} must take at most {LIMIT_BYTES >> 30} GiB of memory, not "
            f"{total >> 30} GiB: choose a smaller size or fewer classes"
        )
    names = sorted(train)
    train_images, train_labels = _read(train, names, size)
    test_images, test_labels = _read(test, names, size)
    return Dataset(
        train_images=train_images,
        train_labels=train_labels,
        test_images=test_images,
        test_labels=test_labels,
    )


def _pictures(folder: Path) -> dict[str, list[Path]]:
    """Return the sorted pictures of each class."""
    if not folder.is_dir():
        raise FileNotFoundError(f"Pictures must be in {folder}/CLASS, but there is no such folder")
    classes = {
        place.name: sorted(p for p in place.iterdir() if p.suffix.lower() in SUFFIXES)
        for place in sorted(folder.iterdir())
        if place.is_dir()
    }
    if not any(classes.values()):
        raise FileNotFoundError(f"Folder {folder}/CLASS must hold {', '.join(SUFFIXES)} files")
    return classes


def _read(
    pictures: dict[str, list[Path]], names: list[str], size: int
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    paths = [(path, names.index(name)) for name in sorted(pictures) for path in pictures[name]]
    images = np.empty((len(paths), 3, size, size), np.uint8)
    for image, (path, _) in zip(images, paths, strict=True):
        image[...] = read_picture(path, size)
    return images, np.array([label for _, label in paths], np.int64)


def read_picture(path: Path, size: int) -> npt.NDArray[np.uint8]:
    """Return a picture (3, size, size): the middle of it, scaled to the crop."""
    from PIL import Image

    with Image.open(path) as picture:
        short = round(size / CROP)
        factor = short / min(picture.size)
        scaled = picture.convert("RGB").resize(
            [max(short, round(side * factor)) for side in picture.size],
            Image.Resampling.BILINEAR,
        )
    left, top = ((side - size) // 2 for side in scaled.size)
    return np.asarray(scaled.crop((left, top, left + size, top + size))).transpose(2, 0, 1)
