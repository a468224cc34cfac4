# SPDX-License-Identifier: Apache-2.0
"""What a simulation is asked to do and what came of it, as files."""

from __future__ import annotations

import json
from array import array
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Any, ClassVar

from tritone.spec.regmap import ErrorCode, Status
from tritone.spec.storage import write_atomically, write_json

__all__ = [
    "Channel",
    "Direction",
    "Fault",
    "Job",
    "MemoryMap",
    "Outcome",
    "Pass",
    "Progress",
    "Stall",
]

_PAGE = 4096
_JOB = "job.json"


class Direction(IntEnum):
    """Which way data goes on the bus, seen from the machine."""

    READ = 0
    WRITE = 1


class Channel(IntEnum):
    """A channel of the AXI4 manager."""

    AW = 0
    W = 1
    B = 2
    AR = 3
    R = 4


@dataclass(frozen=True, kw_only=True)
class Stall:
    """Random pauses of the bus.

    Parameters
    ----------
    probability : of a pause, in each cycle.
    seed : of what is drawn.
    only : the one channel that pauses; None: every channel of both buses.
    """

    probability: float
    seed: int
    only: Channel | None = None

    def __post_init__(self) -> None:
        if not 0 < self.probability < 1:
            raise ValueError(f"Stall probability must lie between 0 and 1, not {self.probability}")


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A region of external memory that answers one direction with an error."""

    direction: Direction
    address: int
    size: int

    def hits(self, address: int, size: int) -> bool:
        """Return whether an access touches the region."""
        return address < self.address + self.size and self.address < address + size


@dataclass(frozen=True, kw_only=True)
class Pass:
    """One start of the machine.

    Parameters
    ----------
    first, images : the images that it runs.
    dump : Control.DUMP: every layer's output goes to external memory; write-backs are timed.
    stall, fault : disturbances of the bus.
    reset_after : assert reset that many cycles after the start and end there.
    """

    first: int
    images: int
    dump: bool = False
    stall: Stall | None = None
    fault: Fault | None = None
    reset_after: int | None = None


@dataclass(frozen=True, kw_only=True)
class MemoryMap:
    """Byte addresses in external memory; each region begins on a page of its own."""

    program: int
    images: int
    results: int
    dumps: int


@dataclass(frozen=True, kw_only=True)
class Job:
    """A simulation.

    Parameters
    ----------
    payload, instructions : the program as the host copies it.
    images : the bytes of all images.
    image_bytes, result_bytes, dump_bytes : of one image.
    passes : what to run, one after the other, on one machine that is reset once.
    hang_cycles : give up when no image ends for so long.
    """

    payload: bytes
    instructions: int
    images: bytes
    image_bytes: int
    result_bytes: int
    dump_bytes: int
    passes: tuple[Pass, ...]
    hang_cycles: int = 2_000_000

    # Files of a saved job.
    PAYLOAD: ClassVar[str] = "payload.bin"
    IMAGES: ClassVar[str] = "images.bin"

    def __post_init__(self) -> None:
        held = len(self.images) // self.image_bytes
        for each in self.passes:
            if each.images < 1 or each.first < 0 or each.first + each.images > held:
                raise ValueError(
                    f"Pass must run images that are there, 0..{held - 1}, "
                    f"not {each.images} from {each.first}"
                )

    @property
    def memory_map(self) -> MemoryMap:
        """Where everything lies."""

        def behind(address: int, size: int) -> int:
            return (address + size + _PAGE - 1) // _PAGE * _PAGE

        # Not at 0, so that an address register that is ignored shows.
        program = _PAGE
        images = behind(program, len(self.payload))
        results = behind(images, len(self.images))
        most = max((each.images for each in self.passes), default=0)
        return MemoryMap(
            program=program,
            images=images,
            results=results,
            dumps=behind(results, most * self.result_bytes),
        )

    def save(self, folder: Path) -> None:
        """Write the job into ``folder``."""
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / self.PAYLOAD, self.payload)
        write_atomically(folder / self.IMAGES, self.images)
        body = {
            "instructions": self.instructions,
            "image_bytes": self.image_bytes,
            "result_bytes": self.result_bytes,
            "dump_bytes": self.dump_bytes,
            "hang_cycles": self.hang_cycles,
            "passes": [asdict(each) for each in self.passes],
        }
        write_json(folder / _JOB, body)

    @classmethod
    def load(cls, folder: Path) -> Job:
        """Return the job that was saved in ``folder``."""
        body = json.loads((folder / _JOB).read_text())
        passes = []
        for entry in body.pop("passes"):
            stall, fault = entry.pop("stall"), entry.pop("fault")
            if fault:
                fault["direction"] = Direction(fault["direction"])
            passes.append(
                Pass(
                    **entry,
                    stall=_stall(stall) if stall else None,
                    fault=Fault(**fault) if fault else None,
                )
            )
        return cls(
            payload=(folder / cls.PAYLOAD).read_bytes(),
            images=(folder / cls.IMAGES).read_bytes(),
            passes=tuple(passes),
            **body,
        )


def _stall(entry: dict[str, Any]) -> Stall:
    only = entry.pop("only")
    return Stall(**entry, only=None if only is None else Channel(only))


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What one pass gave.

    Parameters
    ----------
    status, error, instruction, images_done, cycles, array_cycles, read_beats, write_beats : the
        registers at the end.
    fingerprint : of the machine, from its registers.
    open_reads : most read bursts that were requested and not yet answered; only with a stall.
    seconds, processor_seconds : that the host took for this pass, by the clock and of one core.
    results, dumps : bytes of all its images, image by image; what was never written is Host.POISON.
    write_backs : clock cycle since reset of every write-back, in order; only with ``dump``.
    """

    status: Status
    error: ErrorCode
    instruction: int
    images_done: int
    cycles: int
    array_cycles: int
    read_beats: int
    write_beats: int
    fingerprint: int
    open_reads: int
    seconds: float
    processor_seconds: float
    results: bytes = field(repr=False)
    dumps: bytes = field(repr=False)
    write_backs: Sequence[int] = field(repr=False)

    def require_done(self) -> None:
        """Raise RuntimeError if the pass did not end as it must."""
        if self.status != Status.DONE:
            raise RuntimeError(
                f"Machine must end with status DONE, not {self.status!r} "
                f"with error {self.error.name} at instruction {self.instruction}"
            )

    def save(self, folder: Path, index: int) -> None:
        """Write the outcome of pass ``index`` into ``folder``; its JSON last."""
        write_atomically(folder / f"pass{index}.results", self.results)
        write_atomically(folder / f"pass{index}.dumps", self.dumps)
        write_atomically(
            folder / f"pass{index}.write_backs", array("q", self.write_backs).tobytes()
        )
        plain = {key: value for key, value in vars(self).items() if isinstance(value, int | float)}
        write_json(folder / f"pass{index}.json", plain)

    @classmethod
    def load(cls, folder: Path, index: int) -> Outcome:
        """Return the outcome of pass ``index`` saved in ``folder``."""
        body = json.loads((folder / f"pass{index}.json").read_text())
        body["status"] = Status(body["status"])
        body["error"] = ErrorCode(body["error"])
        write_backs = array("q")
        write_backs.frombytes((folder / f"pass{index}.write_backs").read_bytes())
        return cls(
            results=(folder / f"pass{index}.results").read_bytes(),
            dumps=(folder / f"pass{index}.dumps").read_bytes(),
            write_backs=write_backs,
            **body,
        )


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a simulation is: images finished, over all passes."""

    images_done: int

    FILE: ClassVar[str] = "progress.json"

    def save(self, folder: Path) -> None:
        """Write it into ``folder``."""
        write_json(folder / self.FILE, asdict(self))

    @classmethod
    def load(cls, folder: Path) -> Progress:
        """Return what ``folder`` holds, or no images where it holds nothing yet."""
        path = folder / cls.FILE
        return cls(**json.loads(path.read_text())) if path.exists() else cls(images_done=0)
