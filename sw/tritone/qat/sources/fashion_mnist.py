# SPDX-License-Identifier: Apache-2.0
"""Fashion-MNIST (arXiv 1708.07747), from its four idx files."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tritone.qat.data import Dataset

__all__ = ["DIGEST", "find", "read_files", "read_idx"]

# Where Debian's package dataset-fashion-mnist puts them.
SYSTEM_FOLDER = Path("/usr/share/datasets/fashion-mnist")
FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
# Of the arrays: copies are compressed differently.
DIGEST = "ece172613115fb18b120bec8f6c02271af90b8b8f0a5af5c51cbd5ceed68e619"
UNSIGNED_BYTES = 8  # type code of idx


def find(folder: Path) -> Dataset:
    """Return Fashion-MNIST from the files in ``folder`` or in ``folder``/fashion-mnist.

    Without them, from where Debian puts them.

    Raises
    ------
    FileNotFoundError : they are nowhere.
    """
    places = (folder, folder / "fashion-mnist", SYSTEM_FOLDER)
    for place in places:
        if _path(place, FILES[0]) is not None:
            return read_files(place)
    raise FileNotFoundError(
        f"Data set fashion_mnist must have its files {', '.join(FILES)} (.gz) in {places[1]}; "
        "get them from https://github.com/zalandoresearch/fashion-mnist, or by: "
        "apt install dataset-fashion-mnist"
    )


def _path(folder: Path, name: str) -> Path | None:
    """Return the file of that name, compressed or not; None where it is missing."""
    return next((p for p in (folder / name, folder / f"{name}.gz") if p.is_file()), None)


def read_files(folder: Path) -> Dataset:
    """Return the data set of the four files in ``folder``."""
    arrays = []
    for name in FILES:
        path = _path(folder, name)
        if path is None:
            raise FileNotFoundError(f"Data set fashion_mnist must have the file {folder / name}")
        arrays.append(read_idx(path))
    return Dataset(
        train_images=arrays[0][:, None],
        train_labels=arrays[1].astype(np.int64),
        test_images=arrays[2][:, None],
        test_labels=arrays[3].astype(np.int64),
    )


def read_idx(path: Path) -> npt.NDArray[np.uint8]:
    """Return the array in an idx file: two zeros, type, rank, sizes of 32 bits, bytes."""
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    rank = data[3] if len(data) > 3 else 0
    sizes = np.frombuffer(data[4 : 4 + 4 * rank], ">u4").astype(int)
    if data[:3] != bytes([0, 0, UNSIGNED_BYTES]) or len(data) != 4 + 4 * rank + sizes.prod():
        raise ValueError(f"File {path} must be a whole idx file of bytes")
    return np.frombuffer(data, np.uint8, offset=4 + 4 * rank).reshape(sizes)
