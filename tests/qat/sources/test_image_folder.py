# SPDX-License-Identifier: Apache-2.0
"""Folders of pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tritone.qat.sources import image_folder

COLOURS = {"ant": (200, 10, 30), "bee": (20, 180, 90)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes of plain colours; wide and high pictures."""
    for part, count in (("train", 2), ("val", 1)):
        for name, colour in COLOURS.items():
            place = tmp_path / part / name
            place.mkdir(parents=True)
            for index in range(count):
                picture = Image.new("RGB", (50 + 30 * index, 70), colour)
                picture.save(place / f"{index}.png")
    (tmp_path / "train" / "ant" / "notes.txt").write_text("not a picture")
    return tmp_path


def test_reads_classes_in_order(folder: Path) -> None:
    """Labels follow the names; every pixel has the colour of its class."""
    dataset = image_folder.read_folder(folder, 32)
    assert dataset.train_images.shape == (4, 3, 32, 32)
    assert dataset.train_labels.tolist() == [0, 0, 1, 1]
    assert dataset.test_labels.tolist() == [0, 1]
    for image, label in zip(dataset.train_images, dataset.train_labels, strict=True):
        expected = list(COLOURS.values())[label]
        assert (image == np.array(expected)[:, None, None]).all()


def test_the_middle_is_cut_out(tmp_path: Path) -> None:
    """The shorter side, 64, stays (56 / CROP); of 96x64, 20 pixels go at the left, 4 at the top."""
    pixels = np.random.default_rng(5).integers(0, 256, (64, 96, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    found = image_folder.read_picture(tmp_path / "a.png", 56)
    assert (found == pixels[4:60, 20:76].transpose(2, 0, 1)).all()


def test_refuses_a_class_that_was_not_trained(folder: Path) -> None:
    """A label would have no number."""
    (folder / "val" / "wasp").mkdir()
    with pytest.raises(ValueError, match=r"^Folder .*val must have classes of train, not wasp$"):
        image_folder.read_folder(folder, 32)


def test_refuses_missing_folders(tmp_path: Path) -> None:
    """No train folder, or nothing in it."""
    message = r"^Pictures must be in .*train/CLASS, but there is no such folder$"
    with pytest.raises(FileNotFoundError, match=message):
        image_folder.read_folder(tmp_path, 32)
    (tmp_path / "train").mkdir()
    message = r"^Folder .*train/CLASS must hold \.jpeg, .* files$"
    with pytest.raises(FileNotFoundError, match=message):
        image_folder.read_folder(tmp_path, 32)


def test_refuses_what_does_not_fit(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The figure is named before anything is read."""
    monkeypatch.setattr(image_folder, "LIMIT_BYTES", 6 * 3 * 32 * 32)
    assert len(image_folder.read_folder(folder, 32).test_labels) == 2
    message = r"^Images of .* must take at most 0 GiB of memory, not 0 GiB: choose a smaller size"
    with pytest.raises(ValueError, match=message):
        image_folder.read_folder(folder, 33)
