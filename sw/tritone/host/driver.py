# SPDX-License-Identifier: Apache-2.0
"""A driver over any bus on which registers can be read and written.

``tritone ip`` writes the classes of this module, with what they need of ``tritone.spec``, into a
file for boards with PYNQ (tritone_hw.ip.pynq_driver): they keep to Python 3.8 and its standard
library.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol

from tritone.spec.machine import BEAT_BYTES, ISA_VERSION
from tritone.spec.program import Program
from tritone.spec.regmap import Control, ErrorCode, Status, register

__all__ = ["Buffer", "Driver", "Registers"]


class Registers(Protocol):
    """The registers of a machine, by their byte address."""

    def read(self, offset: int) -> int:
        """Return 32 bits."""

    def write(self, offset: int, value: int) -> None:
        """Write 32 bits."""


class Buffer(Protocol):
    """Bytes that the machine's bus reaches, such as those of ``pynq.allocate``."""

    @property
    def device_address(self) -> int:
        """Where the machine sees the first one."""

    def flush(self) -> None:
        """Make what was written visible to the machine."""

    def invalidate(self) -> None:
        """Make what the machine wrote visible."""

    def __setitem__(self, place: slice, value: Any) -> None: ...

    def __bytes__(self) -> bytes: ...


class Driver:
    """A machine, driven over its registers.

    Parameters
    ----------
    registers : of the machine.

    Attributes
    ----------
    fingerprint : of the machine, as its registers say.

    Raises
    ------
    ValueError : the machine has another instruction set than this software.
    """

    _POLL_SECONDS = 0.001

    def __init__(self, registers: Registers) -> None:
        self._registers = registers
        version = self.read("version")
        if version != ISA_VERSION:
            raise ValueError(
                f"Machine must have instruction set version {ISA_VERSION}, not {version}"
            )
        self.fingerprint = self.read_wide("fingerprint")

    def read(self, name: str) -> int:
        """Return the register of that name."""
        return self._registers.read(register(name).address)

    def read_wide(self, name: str) -> int:
        """Return the register pair ``name``_low, ``name``_high."""
        return self.read(f"{name}_low") | self.read(f"{name}_high") << 32

    def write(self, name: str, value: int) -> None:
        """Write the register of that name."""
        # An enumeration's value is no int to pynq.MMIO.
        self._registers.write(register(name).address, int(value))

    def require(self, program: Program) -> None:
        """Raise ValueError unless ``program`` is compiled for this machine."""
        if program.machine.fingerprint != self.fingerprint:
            raise ValueError(
                f"Program must be compiled for the machine {self.fingerprint:016x}, "
                f"not for {program.machine.name} ({program.machine.fingerprint:016x})"
            )

    def start(
        self, program: Program, *, program_address: int, images: int, results: int, count: int
    ) -> None:
        """Begin a run of ``count`` images; payload and images lie at their addresses already.

        Raises
        ------
        ValueError : the program is for another machine, an address is not a multiple of 8, or there
            is no image.
        RuntimeError : a run is under way.
        """
        self.require(program)
        addresses = {
            "program_address": program_address,
            "image_address": images,
            "result_address": results,
        }
        for name, address in addresses.items():
            if address % BEAT_BYTES:
                raise ValueError(f"{name} must be a multiple of {BEAT_BYTES}, not {address}")
        if count < 1:
            raise ValueError(f"Images must be at least 1, not {count}")
        if self.read("status") & Status.BUSY:
            raise RuntimeError("Machine must be idle, not busy with another run")
        settings = {"program_instructions": program.instructions, "image_count": count}
        for name, value in {**addresses, **settings}.items():
            self.write(name, value)
        self.write("control", Control.START)

    def wait(self, seconds: float) -> None:
        """Return when the run has ended.

        Raises
        ------
        TimeoutError : it has not, after so many seconds.
        RuntimeError : the machine stopped; the message says why and where.
        """
        until = time.monotonic() + seconds
        while True:
            status = Status(self.read("status"))
            if status & Status.DONE:
                return
            if status & Status.ERROR:
                raise RuntimeError(
                    "Machine must finish the run, not stop with "
                    f"{ErrorCode(self.read('error')).name} at instruction "
                    f"{self.read('instruction')}"
                )
            if time.monotonic() > until:
                raise TimeoutError(f"Machine must finish the run in {seconds} s")
            time.sleep(self._POLL_SECONDS)

    def run(
        self,
        program: Program,
        images: bytes,
        count: int,
        allocate: Callable[[int], Buffer],
        seconds: float = 10.0,
    ) -> bytes:
        """Run ``count`` packed images and return the bytes of their results, image by image.

        Parameters
        ----------
        program : for this machine.
        images : packed.
        count : of images.
        allocate : makes a buffer of so many bytes, at a multiple of 8.
        seconds : to wait at most.

        Raises
        ------
        ValueError : ``images`` has another size, and what ``start`` raises.
        RuntimeError, TimeoutError : as ``wait`` does.
        """
        each = program.metadata["image"]["bytes"]
        if len(images) != count * each:
            raise ValueError(f"Images must have {count * each} bytes, not {len(images)}")
        payload = allocate(len(program.payload))
        pixels = allocate(max(1, len(images)))
        results = allocate(max(1, count * program.metadata["result"]["bytes"]))
        payload[:] = memoryview(program.payload)
        pixels[:] = memoryview(images)
        for buffer in (payload, pixels):
            buffer.flush()
        self.start(
            program,
            program_address=payload.device_address,
            images=pixels.device_address,
            results=results.device_address,
            count=count,
        )
        self.wait(seconds)
        results.invalidate()
        return bytes(results)
