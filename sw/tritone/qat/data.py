# SPDX-License-Identifier: Apache-2.0
"""Data sets as raw bytes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import safetensors.numpy
from safetensors import SafetensorError

__all__ = ["DATA_FOLDER", "KEYS", "Dataset", "hold_out", "load"]

DATA_FOLDER = Path("data")
KEYS = ("train_images", "train_labels", "test_images", "test_labels")

DIGITS_TEST_IMAGES = 360
DIGITS_SEED = 0
VALIDATION_SEED = 0


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Images uint8 (N, C, H, W) and labels int64 (N,), each for training and for the test."""

    train_images: npt.NDArray[np.uint8]
    train_labels: npt.NDArray[np.int64]
    test_images: npt.NDArray[np.uint8]
    test_labels: npt.NDArray[np.int64]

    def __post_init__(self) -> None:
        for part in ("train", "test"):
            images, labels = getattr(self, f"{part}_images"), getattr(self, f"{part}_labels")
            if images.dtype != np.uint8 or images.ndim != 4 or len(images) == 0:
                raise ValueError(
                    f"Data set {part}_images must be uint8 (N, C, H, W), "
                    f"not {images.dtype} {images.shape}"
                )
            if labels.dtype != np.int64 or labels.shape != images.shape[:1]:
                raise ValueError(
                    f"Data set {part}_labels must be int64 ({len(images)},), "
                    f"not {labels.dtype} {labels.shape}"
                )
            if labels.min() < 0:
                raise ValueError(
                    f"Data set {part}_labels must be classes 0, 1, ..., not {labels.min()}"
                )
        if self.test_images.shape[1:] != self.shape:
            raise ValueError(
                f"Data set test_images must be {self.shape} each, as train_images are, "
                f"not {self.test_images.shape[1:]}"
            )
        if self.test_labels.max() >= self.classes:
            raise ValueError(
                f"Data set test_labels must be in 0..{self.classes - 1}, the classes of "
                f"train_labels, not {self.test_labels.max()}"
            )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""
        channels, height, width = self.train_images.shape[1:]
        return channels, height, width

    @property
    def classes(self) -> int:
        """Number of classes."""
        return int(self.train_labels.max()) + 1


def load(name: str, folder: Path = DATA_FOLDER) -> Dataset:
    """Return the data set of that name.

    ``digits`` comes with scikit-learn. Any other name is a file ``<folder>/<name>.safetensors``
    with the tensors train_images, train_labels, test_images and test_labels.

    Raises
    ------
    FileNotFoundError : the file, or scikit-learn, is missing.
    ValueError : the file is damaged, lacks a tensor, or has tensors that are no data set.
    """
    if name == "digits":
        return _digits()
    path = folder / f"{name}.safetensors"
    if not path.is_file():
        from tritone.qat.sources.catalog import SOURCES  # which make data sets of this module

        raise FileNotFoundError(
            f"Data set must be digits or a file {path} with {', '.join(KEYS)}, not {name!r}: "
            f"there is no such file; tritone data fetches {', '.join(SOURCES)}"
        )
    try:
        tensors = safetensors.numpy.load_file(path)
    except (SafetensorError, TypeError) as error:  # TypeError: bfloat16, which numpy does not have
        raise ValueError(
            f"Data set {path} must be a whole safetensors file of uint8 and int64: {error}"
        ) from error
    if set(tensors) != set(KEYS):
        raise ValueError(
            f"Data set {path} must hold {', '.join(KEYS)}, not {', '.join(sorted(tensors))}"
        )
    try:
        return Dataset(**tensors)
    except ValueError as error:
        raise ValueError(f"{error}: {path}") from error


def hold_out(dataset: Dataset, count: int) -> Dataset:
    """Return ``dataset`` with ``count`` of its training images as the test set; 0: as it is.

    Of each class the same share, drawn with a fixed seed: hyper-parameters are chosen on them, so
    that the test set is not seen.
    """
    if count == 0:
        return dataset
    labels = dataset.train_labels
    if not 0 < count < len(labels):
        raise ValueError(
            f"Validation must have less than the {len(labels)} training images, not {count}"
        )
    chosen = _stratified(labels, count, VALIDATION_SEED)
    kept = np.setdiff1d(np.arange(len(labels)), chosen)
    return Dataset(
        train_images=dataset.train_images[kept],
        train_labels=labels[kept],
        test_images=dataset.train_images[chosen],
        test_labels=labels[chosen],
    )


def _digits() -> Dataset:
    """Return the 1797 handwritten digits of UCI, 8x8 pixels of 0..16: u = min(16 * pixel, 255).

    Of each class the same share is for the test, 360 images in all, drawn with a fixed seed.
    """
    try:
        from sklearn.datasets import load_digits
    except ModuleNotFoundError as missing:
        raise FileNotFoundError(
            "Data set digits must have scikit-learn installed: pip install -e '.[qat]'"
        ) from missing
    source = load_digits()
    pixels = np.asarray(source.images).astype(np.int64)
    images = np.minimum(16 * pixels, 255).astype(np.uint8)[:, None]
    labels = np.asarray(source.target).astype(np.int64)
    test = _stratified(labels, DIGITS_TEST_IMAGES, DIGITS_SEED)
    train = np.setdiff1d(np.arange(len(labels)), test)
    return Dataset(
        train_images=images[train],
        train_labels=labels[train],
        test_images=images[test],
        test_labels=labels[test],
    )


def _stratified(labels: npt.NDArray[np.int64], count: int, seed: int) -> npt.NDArray[np.int64]:
    """Return ``count`` sorted indices, of each class its share; largest remainders get the rest."""
    # The legacy generator: numpy promises that its stream never changes.
    order = np.random.RandomState(seed).permutation(len(labels))
    classes, sizes = np.unique(labels, return_counts=True)
    shares = sizes * count / len(labels)
    quotas = np.floor(shares).astype(int)
    largest = np.argsort(quotas - shares, kind="stable")[: count - quotas.sum()]
    quotas[largest] += 1
    chosen = [
        order[labels[order] == label][:quota] for label, quota in zip(classes, quotas, strict=True)
    ]
    return np.sort(np.concatenate(chosen))
