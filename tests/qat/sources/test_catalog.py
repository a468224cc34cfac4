# SPDX-License-Identifier: Apache-2.0
"""Data sets made, kept and checked."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tritone.qat.data import Dataset, load
from tritone.qat.sources import catalog
from tritone.qat.sources.catalog import Source, digest, prepare


def dataset() -> Dataset:
    return Dataset(
        train_images=np.arange(12, dtype=np.uint8).reshape(3, 1, 2, 2),
        train_labels=np.array([0, 1, 4]),
        test_images=np.ones((2, 1, 2, 2), np.uint8),
        test_labels=np.array([1, 0]),
    )


def test_digest_is_that_of_the_bytes() -> None:
    """Images and labels one after another, labels as 8 bytes, the lowest first."""
    data = bytes(range(12))
    data += b"".join(n.to_bytes(8, "little") for n in (0, 1, 4))
    data += bytes([1] * 8) + (1).to_bytes(8, "little") + (0).to_bytes(8, "little")
    assert digest(dataset()) == hashlib.sha256(data).hexdigest()


def test_is_made_once_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second time the file is read; ``load`` finds it too."""
    asked: list[Path] = []

    def read(folder: Path) -> Dataset:
        asked.append(folder)
        return dataset()

    source = Source(read=read, digest=digest(dataset()))
    monkeypatch.setitem(catalog.SOURCES, "small", source)
    for _ in range(2):
        assert (prepare("small", tmp_path).train_images == dataset().train_images).all()
    assert asked == [tmp_path]
    assert (load("small", tmp_path).test_labels == [1, 0]).all()


def test_another_content_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was read is not kept unless its digest is the known one."""
    other = replace(dataset(), test_labels=np.array([1, 1]))
    source = Source(read=lambda folder: other, digest=digest(dataset()))
    monkeypatch.setitem(catalog.SOURCES, "small", source)
    message = (
        rf"^Data set small must have the SHA-256 {digest(dataset())}, not {digest(other)}; remove "
        r".*small\.safetensors and what it was made of$"
    )
    with pytest.raises(ValueError, match=message):
        prepare("small", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_own_data_sets_are_loaded(tmp_path: Path) -> None:
    """Without a source a name is a file, or the digits."""
    assert prepare("digits", tmp_path).classes == 10
    with pytest.raises(FileNotFoundError, match=r"^Data set must be digits or a file "):
        prepare("mine", tmp_path)


def test_pictures_become_a_data_set(tmp_path: Path) -> None:
    """A folder of pictures under a name of its own."""
    for part in ("train", "val"):
        (tmp_path / part / "only").mkdir(parents=True)
        Image.new("RGB", (40, 40), (1, 2, 3)).save(tmp_path / part / "only" / "a.png")
    prepare("mine", tmp_path, pictures=tmp_path, size=16)
    assert load("mine", tmp_path).train_images.shape == (1, 3, 16, 16)
    message = r"^Data set of pictures must have a name of its own, not 'cifar10'$"
    with pytest.raises(ValueError, match=message):
        prepare("cifar10", tmp_path, pictures=tmp_path)
