# SPDX-License-Identifier: Apache-2.0
"""``python -m tritone.golden``, as a command of its own."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tritone.compiler import compile_network, pack_images
from tritone.golden import layers
from tritone.graph import Network
from tritone.spec.machine import preset


def _run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tritone.golden", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def files(
    tmp_path: Path, spec: Any, random_network: Callable[..., Network]
) -> tuple[Path, Path, Network, Any]:
    """A program, images, and what they were made from; full words, so that dumps have no gaps."""
    network = random_network((1, 4, 4), [spec(out=8), spec(out=16, kernel=(2, 2))])
    images = np.random.default_rng(0).integers(0, 256, (3, 1, 4, 4), np.uint8)
    program = compile_network(network, preset("tiny"))
    program.save(tmp_path / "program.bin")
    (tmp_path / "images.bin").write_bytes(pack_images(images, program))
    return tmp_path / "program.bin", tmp_path / "images.bin", network, images


def test_hashes_are_those_of_the_layers(files: tuple[Path, Path, Network, Any]) -> None:
    """The dump of a tensor of 8n channels is its values by channel word, row, pixel and channel."""
    program, images, network, raw = files
    answer = _run(program, images)
    assert answer.returncode == 0, answer.stderr
    expected = []
    for name, values in layers.run(network, raw).items():
        if name != "input":
            count, channels, height, width = values.shape
            words = values.reshape(count, channels // 8, 8, height, width)
            data = words.transpose(0, 1, 3, 4, 2).astype(np.uint8).tobytes()
            expected.append({"name": name, "sha256": hashlib.sha256(data).hexdigest()})
    assert json.loads(answer.stdout) == {"tensors": expected}


def test_user_errors_are_one_line(files: tuple[Path, Path, Network, Any]) -> None:
    """Exit code 2 and no traceback."""
    program, images, _, _ = files
    images.write_bytes(images.read_bytes()[:-1])
    answers = {
        (program, images): "error: Images must be a multiple of 16 bytes, not 47\n",
        (images, images): "error: Program must begin with a header of 64 bytes and b'TRIT'\n",
        (program,): "error: usage: python -m tritone.golden PROGRAM IMAGES\n",
    }
    for arguments, message in answers.items():
        answer = _run(*arguments)
        assert (answer.returncode, answer.stdout, answer.stderr) == (2, "", message)
    missing = _run(program, program.with_name("none"))
    assert missing.returncode == 2
    assert missing.stderr.startswith("error: ")
    assert missing.stderr.count("\n") == 1
