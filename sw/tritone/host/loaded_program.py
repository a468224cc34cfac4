# SPDX-License-Identifier: Apache-2.0
"""A program on a board: loaded once, then given images in batches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tritone.host.driver import Driver
from tritone.host.link import Link
from tritone.spec.program import Program

__all__ = ["Execution", "LoadedProgram"]


@dataclass(frozen=True, kw_only=True)
class Execution:
    """What a board made of images.

    Parameters
    ----------
    results : bytes of all of them, image by image.
    cycles : of the machine, over all runs.
    runs : starts of the machine.
    """

    results: bytes
    cycles: int
    runs: int


class LoadedProgram:
    """A program that a board holds.

    The program lies at address 0; behind it images and results of as many images as there is room.

    Parameters
    ----------
    link : to it.
    program : for its machine.
    watch : is told the bytes of the program that have been sent.

    Attributes
    ----------
    batch : images that a run takes at most.

    Raises
    ------
    ValueError : the board has another machine or instruction set, or too little memory.
    """

    def __init__(
        self, link: Link, program: Program, watch: Callable[[int], None] = lambda size: None
    ) -> None:
        self._link = link
        self._program = program
        self._driver = Driver(link)
        self._driver.require(program)
        self._image_bytes = program.metadata["image"]["bytes"]
        self._result_bytes = program.metadata["result"]["bytes"]
        each = self._image_bytes + self._result_bytes
        self.batch = (link.memory_bytes - len(program.payload)) // each
        if self.batch < 1:
            raise ValueError(
                f"Program must fit the board's {link.memory_bytes:,} bytes of memory with an image "
                f"and a result, not take {len(program.payload) + each:,} bytes"
            )
        link.write_memory(0, program.payload, watch)

    def run(
        self,
        images: bytes,
        seconds: float = 10.0,
        watch: Callable[[int], None] = lambda images: None,
    ) -> Execution:
        """Run packed images.

        Parameters
        ----------
        images : packed, one behind the other.
        seconds : that a run may take.
        watch : is told the images that have been run.

        Raises
        ------
        ValueError : ``images`` are no whole number of them.
        RuntimeError, TimeoutError : as ``Driver.wait`` and ``Link`` do.
        """
        count, rest = divmod(len(images), self._image_bytes)
        if rest:
            raise ValueError(
                f"Images must have a multiple of {self._image_bytes} bytes, not {len(images)}"
            )
        place = len(self._program.payload)
        results, cycles, runs = bytearray(), 0, 0
        for first in range(0, count, self.batch):
            number = min(self.batch, count - first)
            part = images[first * self._image_bytes : (first + number) * self._image_bytes]
            behind = place + len(part)
            self._link.write_memory(place, part)
            self._driver.start(
                self._program, program_address=0, images=place, results=behind, count=number
            )
            self._driver.wait(seconds)
            results += self._link.read_memory(behind, number * self._result_bytes)
            cycles += self._driver.read_wide("cycles")
            runs += 1
            watch(first + number)
        return Execution(results=bytes(results), cycles=cycles, runs=runs)
