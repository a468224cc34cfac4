# SPDX-License-Identifier: Apache-2.0
"""Fashion-MNIST from small idx files."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tritone.qat.sources import fashion_mnist


def idx(array: Any) -> bytes:
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes()


def arrays() -> dict[str, Any]:
    generator = np.random.default_rng(3)
    shapes = ((5, 28, 28), (5,), (2, 28, 28), (2,))
    made = {
        name: generator.integers(0, 10, shape, np.uint8)
        for name, shape in zip(fashion_mnist.FILES, shapes, strict=True)
    }
    made[fashion_mnist.FILES[1]][0] = 9  # no class of the test set is new
    return made


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("folder", [".", "fashion-mnist"])
def test_reads_the_four_files(tmp_path: Path, folder: str, compressed: bool) -> None:
    """Plain or compressed, in the data folder or in one of its own."""
    place = tmp_path / folder
    place.mkdir(exist_ok=True)
    for name, array in arrays().items():
        data = idx(array)
        path = place / (f"{name}.gz" if compressed else name)
        path.write_bytes(gzip.compress(data) if compressed else data)
    dataset = fashion_mnist.find(tmp_path)
    expected = list(arrays().values())
    assert (dataset.train_images[:, 0] == expected[0]).all()
    assert (dataset.train_labels == expected[1]).all()
    assert (dataset.test_images[:, 0] == expected[2]).all()
    assert (dataset.test_labels == expected[3]).all()


def test_falls_back_to_the_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Debian's folder is looked at last; without it the remedy is named."""
    monkeypatch.setattr(fashion_mnist, "SYSTEM_FOLDER", tmp_path / "system")
    message = (
        r"^Data set fashion_mnist must have its files train-images-idx3-ubyte, .* in .*; get them "
        r"from https://\S+, or by: apt install dataset-fashion-mnist$"
    )
    with pytest.raises(FileNotFoundError, match=message):
        fashion_mnist.find(tmp_path / "data")
    (tmp_path / "system").mkdir()
    for name, array in arrays().items():
        (tmp_path / "system" / name).write_bytes(idx(array))
    assert fashion_mnist.find(tmp_path / "data").test_labels.shape == (2,)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """One of the four is not there."""
    (tmp_path / fashion_mnist.FILES[0]).write_bytes(idx(np.zeros((1, 28, 28), np.uint8)))
    message = r"^Data set fashion_mnist must have the file .*train-labels-idx1-ubyte$"
    with pytest.raises(FileNotFoundError, match=message):
        fashion_mnist.find(tmp_path)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0\0\x08",
        idx(np.zeros((2, 3), np.uint8))[:-1],
        idx(np.zeros((2, 3), np.uint8)) + b"\0",
        b"\0\0\x0d" + idx(np.zeros((2, 3), np.uint8))[3:],
    ],
)
def test_damaged_files_are_refused(tmp_path: Path, data: bytes) -> None:
    """Cut off, too long, or of another type."""
    (tmp_path / "file").write_bytes(data)
    with pytest.raises(ValueError, match=r"^File .*file must be a whole idx file of bytes$"):
        fashion_mnist.read_idx(tmp_path / "file")
