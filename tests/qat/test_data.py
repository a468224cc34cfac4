# SPDX-License-Identifier: Apache-2.0
"""Data sets."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import safetensors.torch
import torch
from sklearn.datasets import load_digits

from tritone.qat.data import KEYS, Dataset, hold_out, load


def test_digits_are_bytes(tmp_path: Path) -> None:
    """Every image of scikit-learn is there once, as u = min(16 * pixel, 255), with its label."""
    dataset = load("digits", tmp_path)
    assert dataset.train_images.shape == (1437, 1, 8, 8)
    assert dataset.test_images.shape == (360, 1, 8, 8)
    assert (dataset.shape, dataset.classes) == ((1, 8, 8), 10)
    source = load_digits()
    expected = sorted(
        (tuple(min(16 * int(p), 255) for p in image.flat), int(label))
        for image, label in zip(source.images, source.target, strict=True)
    )
    images = np.concatenate([dataset.train_images, dataset.test_images]).reshape(1797, 64)
    labels = np.concatenate([dataset.train_labels, dataset.test_labels])
    found = sorted(
        (tuple(int(p) for p in image), int(label))
        for image, label in zip(images, labels, strict=True)
    )
    assert found == expected


def test_digits_split_is_stratified_and_fixed(tmp_path: Path) -> None:
    """Each class gives its share to the test, and the split is the same every time."""
    dataset = load("digits", tmp_path)
    counts = np.bincount(dataset.test_labels)
    whole = counts + np.bincount(dataset.train_labels)
    assert (np.abs(counts - whole * 360 / 1797) < 1).all()
    again = load("digits", tmp_path)
    assert (again.test_images == dataset.test_images).all()


def own(**changes: object) -> dict:
    arrays = {
        "train_images": np.zeros((3, 1, 2, 2), np.uint8),
        "train_labels": np.array([0, 1, 4]),
        "test_images": np.ones((2, 1, 2, 2), np.uint8),
        "test_labels": np.array([1, 0]),
    }
    return {**arrays, **changes}


def test_own_data_set(tmp_path: Path) -> None:
    """A file in the data folder is a data set of its name."""
    safetensors.numpy.save_file(own(), tmp_path / "mine.safetensors")
    dataset = load("mine", tmp_path)
    assert dataset.classes == 5
    assert dataset.test_images.tolist() == own()["test_images"].tolist()


def test_refuses_a_missing_data_set(tmp_path: Path) -> None:
    """The line names the file that would be read."""
    message = (
        r"^Data set must be digits or a file .*mine\.safetensors with train_images, train_labels, "
        r"test_images, test_labels, not 'mine': there is no such file; "
        r"tritone data fetches cifar10, fashion_mnist$"
    )
    with pytest.raises(FileNotFoundError, match=message):
        load("mine", tmp_path)


def test_refuses_missing_scikit_learn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The remedy is in the line."""
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    message = r"^Data set digits must have scikit-learn installed: pip install -e '\.\[qat\]'$"
    with pytest.raises(FileNotFoundError, match=message):
        load("digits", tmp_path)


def test_refuses_a_file_of_something_else(tmp_path: Path) -> None:
    """The tensors are named."""
    safetensors.numpy.save_file({"images": np.zeros(1)}, tmp_path / "mine.safetensors")
    message = r"^Data set .* must hold train_images, .*, not images$"
    with pytest.raises(ValueError, match=message):
        load("mine", tmp_path)


@pytest.mark.parametrize("data", [b"", b"no tensors at all"])
def test_refuses_a_damaged_file(tmp_path: Path, data: bytes) -> None:
    """It is named."""
    (tmp_path / "mine.safetensors").write_bytes(data)
    message = r"^Data set .*mine\.safetensors must be a whole safetensors file of uint8 and int64: "
    with pytest.raises(ValueError, match=message):
        load("mine", tmp_path)


def test_refuses_numbers_that_numpy_does_not_have(tmp_path: Path) -> None:
    """bfloat16, with the name of the file."""
    tensors = {key: torch.zeros(1, dtype=torch.bfloat16) for key in KEYS}
    safetensors.torch.save_file(tensors, tmp_path / "mine.safetensors")
    message = r"^Data set .*mine\.safetensors must be a whole safetensors file of uint8 and int64: "
    with pytest.raises(ValueError, match=message):
        load("mine", tmp_path)


def test_refuses_a_file_that_is_no_data_set(tmp_path: Path) -> None:
    """What is wrong in it, and where that is."""
    arrays = own(test_labels=np.array([1, -1]))
    safetensors.numpy.save_file(arrays, tmp_path / "mine.safetensors")
    message = r"^Data set test_labels must be classes 0, 1, ..., not -1: .*mine\.safetensors$"
    with pytest.raises(ValueError, match=message):
        load("mine", tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"train_images": np.zeros((3, 2, 2), np.uint8)},
            r"^Data set train_images must be uint8 \(N, C, H, W\), not uint8 \(3, 2, 2\)$",
        ),
        (
            {"test_images": np.zeros((2, 1, 2, 2), np.float32)},
            r"^Data set test_images must be uint8 \(N, C, H, W\), not float32 \(2, 1, 2, 2\)$",
        ),
        (
            {"test_labels": np.array([0, 1, 2])},
            r"^Data set test_labels must be int64 \(2,\), not int64 \(3,\)$",
        ),
        (
            {"train_labels": np.array([0, -2, 4])},
            r"^Data set train_labels must be classes 0, 1, \.\.\., not -2$",
        ),
        (
            {"test_labels": np.array([0, 5])},
            r"^Data set test_labels must be in 0\.\.4, the classes of train_labels, not 5$",
        ),
        (
            {"test_images": np.zeros((2, 1, 2, 3), np.uint8)},
            r"^Data set test_images must be \(1, 2, 2\) each, .* not \(1, 2, 3\)$",
        ),
    ],
)
def test_refuses_shapes(changes: dict, message: str) -> None:
    """Images are bytes, labels integers, one an image."""
    with pytest.raises(ValueError, match=message):
        Dataset(**own(**changes))


def test_hold_out_parts_the_training_set() -> None:
    """Each image is in one part, each class gives its share, the test set is gone."""
    dataset = load("digits")
    parted = hold_out(dataset, 400)
    assert len(parted.test_labels) == 400
    both = np.concatenate([parted.train_images, parted.test_images])
    labels = np.concatenate([parted.train_labels, parted.test_labels])

    def pairs(images: np.ndarray, labels: np.ndarray) -> list:
        return sorted(
            (image.tobytes(), int(label)) for image, label in zip(images, labels, strict=True)
        )

    assert pairs(both, labels) == pairs(dataset.train_images, dataset.train_labels)
    share = np.bincount(dataset.train_labels) * 400 / len(dataset.train_labels)
    assert (np.abs(np.bincount(parted.test_labels) - share) < 1).all()
    assert hold_out(dataset, 0) is dataset
    message = r"^Validation must have less than the 1437 training images, not 1437$"
    with pytest.raises(ValueError, match=message):
        hold_out(dataset, 1437)
