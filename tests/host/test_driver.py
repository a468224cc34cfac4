# SPDX-License-Identifier: Apache-2.0
"""The drivers for boards, in C and in Python, run the Verilog as a processor would."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from driver_bench import COUNT

from tritone.compiler import compile_network, pack_images
from tritone.golden.machine import GoldenMachine
from tritone.graph import Network
from tritone.host.driver import Driver
from tritone.spec.machine import ISA_VERSION, preset
from tritone.spec.program import Program
from tritone.spec.regmap import Status, register
from tritone_hw.ip.package import write_ip
from tritone_hw.platform.target import Target
from tritone_sim.runner import FastVerilator, Trace

EXERCISE = Path(__file__).resolve().parents[1] / "hw" / "ip" / "exercise.c"
WARNINGS = ("-std=c99", "-Wall", "-Wextra", "-Wconversion", "-pedantic", "-Werror")


@pytest.fixture(scope="module")
def job(
    every_operator: Network, machine_model: Callable[..., Any], tmp_path_factory: Any
) -> tuple[Path, list[bytes], Program]:
    """What both drivers left in a folder, what the golden machine says, and the program."""
    folder = tmp_path_factory.mktemp("drivers")
    machine = preset("tiny")
    program = compile_network(every_operator, machine)
    shape = every_operator.tensors[every_operator.input].shape
    images = np.random.default_rng(8).integers(0, 256, (COUNT, *shape)).astype(np.uint8)
    packed = pack_images(images, program)
    program.save(folder / "program.bin")
    (folder / "images.bin").write_bytes(packed)

    write_ip(machine, folder / "ip", target=Target.PORTABLE)
    software = folder / "ip" / "software"
    subprocess.run(
        ["gcc", *WARNINGS, "-shared", "-fPIC", f"-I{software}", EXERCISE, "-o", "driver.so"],
        cwd=folder,
        check=True,
    )
    model = machine_model(machine)
    FastVerilator(model.toolchain, trace=Trace.NOTHING).test(
        test_module="driver_bench",
        hdl_toplevel=model.top,
        hdl_toplevel_lang="verilog",
        build_dir=model.folder,
        test_dir=folder,
        plusargs=[f"+job={folder}"],
        log_file=folder / "log",
        results_xml=str(folder / "results.xml"),
    )
    golden, size = GoldenMachine(program), len(packed) // COUNT
    expected = [golden.execute(packed[i * size : (i + 1) * size]).result for i in range(COUNT)]
    return folder, expected, program


def test_c(job: tuple[Path, list[bytes], Program]) -> None:
    """Results are the golden machine's; every call returns what the header says."""
    folder, expected, program = job
    assert (folder / "c.bin").read_bytes() == b"".join(expected)
    returned = json.loads((folder / "c.json").read_text())
    assert 1000 < returned.pop("cycles") < 100_000
    # Places in the enumerations of tritone_driver.h and tritone.h.
    assert returned == {
        "opened": 0,
        "cut_off": 2,
        "parsed": 0,
        "payload_bytes": len(program.payload),
        "misaligned": 3,
        "no_images": 4,
        "started": 0,
        "barriers_at_start": 1,
        "again": 5,
        "waited": 0,
        "barriers": 2,
        # The interrupt: only where it is asked for, from the end on, until it is acknowledged.
        "silent": 0,
        "started_loud": 0,
        "running": 0,
        "done": 0,
        "raised": 1,
        "lowered": 0,
        "still_done": 0,
        "bad_started": 0,
        "stopped": 7,
        "error": 5,
    }


def test_python(job: tuple[Path, list[bytes], Program]) -> None:
    """Results are the golden machine's; a machine that stops says why."""
    folder, expected, _ = job
    assert (folder / "python.bin").read_bytes() == b"".join(expected)
    stopped = json.loads((folder / "python.json").read_text())["stopped"]
    message = "Machine must finish the run, not stop with PROGRAM_TOO_LONG at instruction "
    assert stopped.startswith(message)


class Idle:
    """Registers of a machine that is never started, by address."""

    def __init__(self, **values: int) -> None:
        self.held = {register(name).address: value for name, value in values.items()}

    def read(self, offset: int) -> int:
        """Return what stands there."""
        return self.held.get(offset, 0)

    def write(self, offset: int, value: int) -> None:
        """Nothing may be written before everything was checked."""
        raise AssertionError(f"written: {offset}")


def idle(status: int = 0) -> tuple[Driver, Program]:
    """Return a driver of a machine like tiny, and a program for it."""
    machine = preset("tiny")
    values = {"fingerprint_low": machine.fingerprint & 0xFFFFFFFF}
    values |= {"fingerprint_high": machine.fingerprint >> 32, "version": ISA_VERSION}
    metadata = {"image": {"bytes": 8}, "result": {"bytes": 8}}
    program = Program(machine=machine, instructions=1, payload=bytes(64), metadata=metadata)
    return Driver(Idle(status=status, **values)), program


def test_what_is_refused() -> None:
    """Before anything is written: another machine, a crooked address, no image, a busy machine."""
    driver, program = idle()
    where = {"program_address": 0, "images": 64, "results": 128, "count": 1}
    other = replace(program, machine=preset("tiny-p2"))
    with pytest.raises(ValueError, match=r"^Program must be compiled for the machine .*tiny-p2 \("):
        driver.start(other, **where)
    with pytest.raises(ValueError, match=r"^image_address must be a multiple of 8, not 4$"):
        driver.start(program, **where | {"images": 4})
    with pytest.raises(ValueError, match=r"^Images must be at least 1, not 0$"):
        driver.start(program, **where | {"count": 0})
    with pytest.raises(ValueError, match=r"^Images must have 16 bytes, not 8$"):
        driver.run(program, bytes(8), 2, lambda size: pytest.fail("allocated"))
    busy, _ = idle(Status.BUSY)
    with pytest.raises(RuntimeError, match=r"^Machine must be idle, not busy with another run$"):
        busy.start(program, **where)
    with pytest.raises(TimeoutError, match=r"^Machine must finish the run in 0 s$"):
        busy.wait(0)
    message = rf"^Machine must have instruction set version {ISA_VERSION}, not 0$"
    with pytest.raises(ValueError, match=message):
        Driver(Idle())
