# SPDX-License-Identifier: Apache-2.0
"""tritone.host.link: a board that answers, is silent, or is misunderstood."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from soft_board import SoftBoard, to_line

from tritone.host.link import Link
from tritone.spec.host_link import Answer, Operation


def test_memory_and_registers() -> None:
    """Bytes come back as they were sent, in frames that a board takes."""
    board = SoftBoard()
    link = Link(board, seconds=0.1)
    assert (link.memory_bytes, link.clock_hz) == (4096, 25_000_000)
    data = bytes(n * 7 % 256 for n in range(2500))
    told: list[int] = []
    link.write_memory(8, data, told.append)
    assert told == [1024, 2048, 2500]
    assert bytes(board.memory[:2520]) == bytes(8) + data + bytes(12)
    assert link.read_memory(8, 2500) == data
    assert [beats for code, _, beats, _ in board.requests if code == Operation.READ_MEMORY] == [
        128,
        128,
        57,
    ]
    assert link.read(0) == 0xDEADBEEF
    link.write(4, 0x12345678)
    assert link.read(4) == 0x12345678
    assert link.repeated == 0
    assert len({tag for _, tag, _, _ in board.requests}) == len(board.requests)


class Impatient(SoftBoard):
    """A board whose host must not wait for an answer that has been given."""

    def read(self, size: int) -> bytes:
        assert self.waiting
        return super().read(size)


@pytest.mark.parametrize(
    ("board_kind", "spoil"),
    [
        pytest.param(SoftBoard, lambda n, line: b"" if n % 3 == 1 else line, id="lost"),
        pytest.param(SoftBoard, lambda n, line: line[:-3] if n % 3 == 1 else line, id="cut off"),
        pytest.param(
            Impatient,
            lambda n, line: line.replace(b"\x80", b"\x90") if n % 3 == 1 else line,
            id="wrong bit",
        ),
        pytest.param(
            Impatient,
            lambda n, line: to_line(b"\x81" + bytes(7)) if n % 3 == 1 else line,
            id="misunderstood",
        ),
        pytest.param(
            Impatient,
            lambda n, line: b"\x00garbage\xc0" + line if n % 3 == 1 else line,
            id="noise",
        ),
    ],
)
def test_what_goes_wrong_is_asked_again(
    board_kind: type[SoftBoard], spoil: Callable[[int, bytes], bytes]
) -> None:
    """Every third answer: what is read is right all the same, and damage is not waited out."""
    board = board_kind(spoil)
    link = Link(board, seconds=0.05)
    link.write_memory(0, bytes(range(200)))
    assert link.read_memory(0, 200) == bytes(range(200))
    assert link.read(0) == 0xDEADBEEF
    assert link.repeated >= 1


def test_an_answer_that_comes_twice() -> None:
    """The second one is not taken for that of the next request, before which it comes."""
    last = b""

    def late(n: int, line: bytes) -> bytes:
        nonlocal last
        both, last = last + line, line
        return both

    link = Link(SoftBoard(late), seconds=0.1)
    link.write(4, 77)
    assert [link.read(offset) for offset in (0, 4, 0)] == [0xDEADBEEF, 77, 0xDEADBEEF]
    assert link.repeated == 0


def test_what_is_refused() -> None:
    """Nobody there, another version, memory that is not there, a register that is not."""
    message = (
        r"^Board must answer within 0\.01 s, not stay silent or garbled in 4 attempts; it must be "
        r"configured with a bitstream, and the port and its baud rate be the board's$"
    )
    with pytest.raises(TimeoutError, match=message):
        Link(SoftBoard(lambda n, line: b""), seconds=0.01)

    class Echo(SoftBoard):
        """A port whose two lines are connected."""

        def write(self, data: bytes) -> int:
            self.waiting += data
            return len(data)

    with pytest.raises(TimeoutError, match=r"^Board must answer"):
        Link(Echo(), seconds=0.01)
    message = (
        r"^Board must speak version 1 of the host link, not 2; "
        r"configure it with a bitstream of this version$"
    )
    with pytest.raises(ValueError, match=message):
        Link(SoftBoard(version=2), seconds=0.1)
    link = Link(SoftBoard(), seconds=0.1)
    message = r"^Memory must be within the 4,096 bytes of the board, not 9 bytes at 4,088$"
    with pytest.raises(ValueError, match=message):
        link.write_memory(4088, bytes(9))
    with pytest.raises(ValueError, match=message):
        link.read_memory(4088, 9)
    with pytest.raises(ValueError, match=r"^Address must be a multiple of 8, not 4$"):
        link.read_memory(4, 8)
    with pytest.raises(
        RuntimeError, match=r"^Board must do READ_REGISTER at 0x50, not answer REFUSED$"
    ):
        link.read(0x50)
    assert Answer.REFUSED == 0x84
