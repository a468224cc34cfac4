# SPDX-License-Identifier: Apache-2.0
"""Files are whole or not there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tritone.spec.storage import read_json, whole_folder, write_atomically, write_json


def test_files_are_replaced_and_nothing_is_left_beside(tmp_path: Path) -> None:
    """A second write replaces the first; folders are made; no temporary stays."""
    path = tmp_path / "deep" / "file"
    write_atomically(path, b"one")
    write_atomically(path, b"two")
    assert path.read_bytes() == b"two"
    assert list(path.parent.iterdir()) == [path]


def test_an_interrupted_write_keeps_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is there stays until the new bytes are all written."""
    path = tmp_path / "file"
    write_atomically(path, b"old")

    def full_disk(self: Path, data: bytes) -> int:
        with self.open("wb") as file:
            file.write(data[:1])
        raise OSError("no space left on device")

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(OSError, match="no space left"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_json_round_trip(tmp_path: Path) -> None:
    """JSON comes back as it was given, in lines for people."""
    value = {"a": [1, 2.5, None], "b": "√2"}
    write_json(tmp_path / "value.json", value)
    text = (tmp_path / "value.json").read_text(encoding="utf-8")
    assert json.loads(text) == value
    assert text.endswith("}\n")
    assert read_json(tmp_path / "value.json", "Report", dict) == value


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", r"^Report .*a\.json must be JSON, not damaged: .*$"),
        (b'{"a": ', r"^Report .*a\.json must be JSON, not damaged: .*$"),
        (b"\xff\xfe", r"^Report .*a\.json must be JSON, not damaged: .*$"),
        (b"[1]", r"^Report .*a\.json must hold an object, not \[1\]$"),
    ],
    ids=["empty", "cut", "binary", "array"],
)
def test_refuses_damaged_json(tmp_path: Path, data: bytes, message: str) -> None:
    """The file is named, and what it should be."""
    path = tmp_path / "a.json"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=message):
        read_json(path, "Report", dict)


def test_refuses_json_of_another_kind(tmp_path: Path) -> None:
    """Where an array belongs, too; a missing file stays one."""
    path = tmp_path / "a.json"
    write_json(path, {})
    with pytest.raises(ValueError, match=r"^History .*a\.json must hold an array, not \{\}$"):
        read_json(path, "History", list)
    path.unlink()
    with pytest.raises(FileNotFoundError):
        read_json(path, "History", list)


def test_a_folder_is_there_when_it_is_complete(tmp_path: Path) -> None:
    """Until then it has another name; on an error it goes."""
    path = tmp_path / "deep" / "folder"
    with whole_folder(path) as folder:
        (folder / "file").write_text("one")
        assert folder.parent == path.parent
        assert not path.exists()
    assert [each.name for each in path.iterdir()] == ["file"]
    with pytest.raises(RuntimeError, match=r"^stopped$"), whole_folder(tmp_path / "other"):
        raise RuntimeError("stopped")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["deep"]


def test_the_folder_of_who_was_first_stays(tmp_path: Path) -> None:
    """Two that fill the same folder at once leave one of them, whole."""
    path = tmp_path / "folder"
    with whole_folder(path) as slow, whole_folder(path) as fast:
        (slow / "file").write_text("slow")
        (fast / "file").write_text("fast")
    assert (path / "file").read_text() == "fast"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_in_the_place_of_a_folder(tmp_path: Path) -> None:
    """It is not replaced."""
    path = tmp_path / "folder"
    path.write_text("file")
    with pytest.raises(NotADirectoryError), whole_folder(path):
        pass
    assert list(tmp_path.iterdir()) == [path]
