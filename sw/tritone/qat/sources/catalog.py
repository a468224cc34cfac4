# SPDX-License-Identifier: Apache-2.0
"""The data sets that can be made, and their files."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors.numpy

from tritone.qat.data import DATA_FOLDER, KEYS, Dataset, load
from tritone.qat.sources import cifar10, fashion_mnist
from tritone.qat.sources.image_folder import read_folder
from tritone.spec.storage import write_atomically

__all__ = ["SOURCES", "Source", "digest", "prepare"]


@dataclass(frozen=True, kw_only=True)
class Source:
    """A data set of others.

    Parameters
    ----------
    read : makes it from files in a folder, which it may fetch.
    digest : of the arrays.
    """

    read: Callable[[Path], Dataset]
    digest: str


SOURCES = {
    "cifar10": Source(read=cifar10.fetch, digest=cifar10.DIGEST),
    "fashion_mnist": Source(read=fashion_mnist.find, digest=fashion_mnist.DIGEST),
}


def digest(dataset: Dataset) -> str:
    """Return the SHA-256 of the arrays in the order of their names in a file."""
    total = hashlib.sha256()
    for key in KEYS:
        total.update(np.ascontiguousarray(getattr(dataset, key)).data)
    return total.hexdigest()


def prepare(
    name: str, folder: Path = DATA_FOLDER, pictures: Path | None = None, size: int = 224
) -> Dataset:
    """Return a data set, made and kept as ``folder/name.safetensors`` where it is not there yet.

    Parameters
    ----------
    pictures : a folder with train/CLASS/* and val/CLASS/*; the data set gets ``name``.
    size : height and width of the images made of ``pictures``.

    Raises
    ------
    ValueError : what was read, or is there, is not the known data set.
    """
    path = folder / f"{name}.safetensors"
    known = SOURCES.get(name)
    if pictures is not None:
        if known or name == "digits":
            raise ValueError(f"Data set of pictures must have a name of its own, not {name!r}")
        dataset = read_folder(pictures, size)
    elif known is None or path.is_file():
        dataset = load(name, folder)
    else:
        dataset = known.read(folder)
    if known and digest(dataset) != known.digest:
        raise ValueError(
            f"Data set {name} must have the SHA-256 {known.digest}, not {digest(dataset)}; "
            f"remove {path} and what it was made of"
        )
    if pictures is not None or (known and not path.is_file()):
        tensors = {key: np.ascontiguousarray(getattr(dataset, key)) for key in KEYS}
        write_atomically(path, safetensors.numpy.save(tensors))
    return dataset
