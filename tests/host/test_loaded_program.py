# SPDX-License-Identifier: Apache-2.0
"""tritone.host.loaded_program: a program and its images in the memory that a board has."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from soft_board import SoftBoard

from tritone.compiler import compile_network, pack_images
from tritone.golden.machine import GoldenMachine
from tritone.graph import Network
from tritone.host.link import Link
from tritone.host.loaded_program import LoadedProgram
from tritone.spec.machine import preset
from tritone.spec.program import Program

COUNT = 5


@pytest.fixture(scope="module")
def job(every_operator: Network) -> tuple[Program, bytes, bytes]:
    """A program, packed images and what the golden machine makes of them."""
    program = compile_network(every_operator, preset("tiny"))
    shape = every_operator.tensors[every_operator.input].shape
    images = np.random.default_rng(4).integers(0, 256, (COUNT, *shape)).astype(np.uint8)
    packed = pack_images(images, program)
    golden, size = GoldenMachine(program), len(packed) // COUNT
    parts = [packed[n * size : (n + 1) * size] for n in range(COUNT)]
    return program, packed, b"".join(golden.execute(part).result for part in parts)


@pytest.mark.parametrize(("room", "runs"), [(5, 1), (2, 3), (1, 5)])
def test_batches(room: int, runs: int, job: tuple[Program, bytes, bytes]) -> None:
    """As many images at once as memory holds; results are in order."""
    program, packed, expected = job
    each = program.metadata["image"]["bytes"] + program.metadata["result"]["bytes"]
    size = len(program.payload) + room * each
    board = SoftBoard(memory=size + (each // 2 // 8 * 8), program=program)
    sent: list[int] = []
    loaded = LoadedProgram(Link(board, seconds=1), program, sent.append)
    assert loaded.batch == room
    assert sent[-1] == len(program.payload)
    done: list[int] = []
    found = loaded.run(packed, watch=done.append)
    assert found.results == expected
    assert (found.runs, found.cycles) == (runs, COUNT * SoftBoard.CYCLES)
    assert (len(done), done[-1]) == (runs, COUNT)


def test_what_is_refused(job: tuple[Program, bytes, bytes]) -> None:
    """Another machine, too little memory, half an image: before anything is sent."""
    program, packed, _ = job
    small = SoftBoard(memory=len(program.payload) // 8 * 8, program=program)
    message = (
        r"^Program must fit the board's [\d,]+ bytes of memory with an image and a result, "
        r"not take [\d,]+ bytes$"
    )
    with pytest.raises(ValueError, match=message):
        LoadedProgram(Link(small, seconds=1), program)
    board = SoftBoard(memory=1 << 16, program=program)
    other = replace(program, machine=preset("tiny-p2"))
    with pytest.raises(ValueError, match=r"^Program must be compiled for the machine .*tiny-p2"):
        LoadedProgram(Link(board, seconds=1), other)
    loaded = LoadedProgram(Link(board, seconds=1), program)
    size = program.metadata["image"]["bytes"]
    with pytest.raises(ValueError, match=rf"^Images must have a multiple of {size} bytes, not 3$"):
        loaded.run(packed[:3])
